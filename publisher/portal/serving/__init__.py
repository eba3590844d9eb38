"""The portal's processes: options, connections, logging, health, and shutdown."""
