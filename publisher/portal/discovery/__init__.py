"""How datasets are found: by search, by harvesters and by feed readers."""
