"""A page of Markdown for people at a terminal: its words and tables without its marks."""

from __future__ import annotations

import re

from publisher.commands.terminal import print_table, say

_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_CELL = re.compile(r"(?<!\\)\|")


def print_markdown(page: str) -> None:
    """Print headings, paragraphs, lists and tables, as the pages of releases have them."""
    for block in re.split(r"\n{2,}", page.strip()):
        if block.startswith("|"):
            head, _, *rows = (_cells(line) for line in block.splitlines())
            print_table("", head, rows)
        else:
            for line in block.splitlines():
                level = re.match(r"#+ ", line)
                say(_plain(line[level.end() :] if level else line), bold=level is not None)
        say()


def _cells(line: str) -> list[str]:
    return [_plain(cell.strip()).replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]


def _plain(text: str) -> str:
    """Without marks; a space that keeps words together is one like any other here."""
    return _BOLD.sub(r"\1", text).replace("\N{NO-BREAK SPACE}", " ")
