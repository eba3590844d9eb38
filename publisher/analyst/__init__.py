"""The analyst file: what is released as one DuckDB file, with margins for sums of one's own."""
