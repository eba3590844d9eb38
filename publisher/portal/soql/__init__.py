"""SoQL, the API's query language: parsed, type-checked, and compiled to SQL for DuckDB."""
