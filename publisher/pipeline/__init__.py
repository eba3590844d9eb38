"""The path of one release, and the open state of a workspace."""
