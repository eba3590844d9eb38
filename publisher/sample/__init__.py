"""Stand-in raw feeds of an invented city, in the layouts of the shipped sources: `publisher sample`."""

from publisher.sample.folder import write_sample

__all__ = ["write_sample"]
