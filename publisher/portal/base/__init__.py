"""What every room of the portal stands on."""
