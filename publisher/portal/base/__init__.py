"""The modules that every other package of the portal uses."""
