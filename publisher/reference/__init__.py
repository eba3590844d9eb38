"""What is public about a city: lists that become keysets, files that the definitions name, and whether they fit."""
