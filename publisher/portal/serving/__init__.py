"""The portal as a process: how it listens, guards, counts and stops."""
