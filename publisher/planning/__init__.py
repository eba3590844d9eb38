"""What a release will cost and how accurate its numbers will be, before anything is spent."""
