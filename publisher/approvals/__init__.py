"""What reviewers decide, signed: their keys, and the files that hold their decisions."""
