"""Canaries: invented values that stand in raw records and must turn up nowhere else; and the search for them.

Every canary holds one of two marks, ten random letters or ten random digits, and a number of its own. Texts are
searched without case and punctuation, after Parquet, SQLite, DuckDB, gzip and JSON have been decoded.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sqlite3
import string
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KINDS = ("name", "e-mail", "phone", "card", "address", "identifier", "number")
_PUNCTUATION = re.compile(r"[\W_]+")


@dataclass
class Aviary:
    """Makes canaries and finds them; `made` is every canary with where it was planted."""

    letters: str = field(default_factory=lambda: "".join(random.choices(string.ascii_lowercase, k=10)))
    digits: str = field(default_factory=lambda: "".join(random.choices("23456789", k=10)))
    made: dict[str, str] = field(default_factory=dict)

    def make(self, kind: str, where: str) -> str:
        """A new canary."""
        word, digits, number = self.letters, self.digits, f"{len(self.made):05}"
        value = {
            "name": f"{word.title()} {number}",
            "e-mail": f"{word}{number}@example.org",
            "phone": f"+({digits[:3]}) {digits[3:6]}-{digits[6:]} {number}",
            "card": f"{digits[:4]} {digits[4:8]} {digits[8:]}{number[:2]} {number[1:]}",
            "address": f"{word.title()} Street {number}",
            "identifier": f"ID-{word.upper()}-{number}",
            "number": f"{digits}{number}",
        }[kind]
        self.made[value] = f"{kind} in {where}"
        return value

    def found_in(self, texts: Iterable[str]) -> list[str]:
        """What of the canaries the texts hold, with some words around it."""
        found = []
        for text in texts:
            plain = _PUNCTUATION.sub("", text).lower()
            for mark in (self.letters, self.digits):
                found += [plain[match.start() : match.end() + 20] for match in re.finditer(mark, plain)]
        return found


def texts_below(folder: Path, *, but: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, as it is and decoded, and its name; nothing below `but`."""
    for path in sorted(folder.rglob("*")):
        if but is None or not path.is_relative_to(but):
            yield path, path.name
            if path.is_file():
                yield from ((path, text) for text in texts_of(path))


def texts_of(path: Path) -> Iterator[str]:
    """A file's bytes as text, and what they say when they are decoded."""
    content = path.read_bytes()
    yield content.decode(errors="replace")
    if content[:4] == b"PAR1":
        yield from _parquet(path)
    elif content[:15] == b"SQLite format 3":
        yield from _sqlite(path)
    elif content[8:12] == b"DUCK":
        yield from _duckdb(path)
    elif content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content).decode(errors="replace")
    elif content[:1] in b"{[":
        yield from _json(content)


def _json(content: bytes) -> Iterator[str]:
    try:
        yield json.dumps(json.loads(content), ensure_ascii=False)
    except ValueError:
        return


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    yield str(file.schema_arrow.metadata)
    yield str(file.metadata)
    for name, column in file.read().to_pydict().items():
        yield "\n".join([name, *map(str, column)])


def _sqlite(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in ("sqlite_master", *names):
            yield "\n".join(map(str, connection.execute(f'SELECT * FROM "{name}"')))


def _duckdb(path: Path) -> Iterator[str]:
    import duckdb

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        for relation in ("duckdb_columns()", *(f'"{name}"' for name in names)):
            yield "\n".join(map(str, connection.execute(f"SELECT * FROM {relation}").fetchall()))
