"""Raw files become private Parquet: landing, pseudonyms, places, and reading them back."""
