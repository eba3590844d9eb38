"""What people write down: the workspace, its sources, datasets and keysets, as frozen, strict models."""
