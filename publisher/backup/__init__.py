"""Backups of a workspace's state: making one, and restoring from it what is missing."""
