"""Answers with rows: access, formats, caching headers, and streaming."""
