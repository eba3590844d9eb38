"""What a release will cost and how sure its numbers will be, before anything is spent."""
