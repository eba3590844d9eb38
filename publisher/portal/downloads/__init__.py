"""Downloads of whole datasets as files."""
