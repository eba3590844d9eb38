"""How one release is made, and the open state of a workspace."""
