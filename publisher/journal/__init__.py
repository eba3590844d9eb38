"""The journal: who landed, read, charged, decided, pushed and purged, chained by hashes, without a record's value."""
