"""SoQL: the query language of the API, parsed, checked, typed and turned into SQL for DuckDB."""
