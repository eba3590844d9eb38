"""The command line, one module for each section of `publisher --help`. Heavy modules are imported by the command that
needs them."""

from publisher.cli import answer, keep, look, plan, prove, publish, review, run, start
from publisher.cli.root import SECTIONS, main

__all__ = ["SECTIONS", "answer", "keep", "look", "main", "plan", "prove", "publish", "review", "run", "start"]
