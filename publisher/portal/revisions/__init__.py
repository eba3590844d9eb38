"""The revisions API: change datasets in revisions, in the protocol of socrata-py."""
