"""Record-level city data in, differentially private open data out."""

__version__ = "0.1.0"
