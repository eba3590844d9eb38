"""The embedded open data portal: a Socrata-style API and public pages over its own store."""
