"""Releases: immutable folders of noisy data with their manifest, guarantee and validation."""
