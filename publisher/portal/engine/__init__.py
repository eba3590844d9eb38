"""The query engine: runs compiled queries with DuckDB."""
