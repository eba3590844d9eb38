"""Whole datasets as files."""
