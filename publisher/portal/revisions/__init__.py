"""Datasets changed by revisions, as socrata-py speaks of them."""
