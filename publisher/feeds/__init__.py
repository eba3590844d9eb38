"""Records that lie elsewhere: fetched into private files, a delivery at a time, for the landing."""
