"""Drafts of definitions from the layout of raw files."""
