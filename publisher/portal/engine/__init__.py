"""Questions carried out by DuckDB."""
