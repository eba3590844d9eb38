"""What kind of personal content a column holds: a guess from four independent signals, for a person to confirm."""
