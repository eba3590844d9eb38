"""A sample of raw files in a private table, read as landing reads them. It is thrown away with its folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

from publisher.classify.column import SampledColumn
from publisher.classify.column_names import named
from publisher.classify.guess import guess
from publisher.classify.values import matched
from publisher.drafting.layout import layout
from publisher.duck import literal, safely
from publisher.errors import SourceError
from publisher.records import diagnosis, feed, objects, plain, sql, workbook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.feed import FileFormat

MOST = 12 << 20
"""So many bytes of a file are read at most."""
PIECES = 4
"""They are the beginning and as many pieces less one, evenly spread."""
UNPACKED = 512 << 20
"""So many bytes of a packed file are unpacked at most."""
PACKED_PIECE = 256 << 10
"""The length of its pieces."""
ROWS = 100_000
"""So many rows of a file that is read whole are read at most."""
CELLS = 4_000_000
"""So many of its values: a Parquet file of many columns is packed small."""
TOGETHER = 50
"""So many columns are looked at together."""
FEW = 10
"""What fewer rows than this have is never written down."""
TOLD_BY = 200
"""So many values tell what a column holds."""
NULLS = ("NA", "N/A", "#N/A", "n/a", "NULL", "null", "(null)", "NaN", "nan", "-", "--", "?", ".")
"""Texts that usually mean missing."""
KEY = re.compile(r"[\w:@ -]{1,60}")
"""What may be the name of a key: an object's keys can be content of records."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_PERSONAL = re.compile(r"[^@\s]+@[^@\s]+\.\w+|\+?[\d() -]{7,}|[\d./: -]*\d[\d./: -]*")


Part = Literal["whole", "spread", "beginning"]
"""Which rows of a file are in a sample: all, rows from evenly spread places, or those at its beginning."""


@dataclass(frozen=True)
class Sample:
    """Records of one or more files of one layout: texts c0, c1, … in the table `sample`, missing ones NULL."""

    connection: DuckDBPyConnection
    feed: FileFormat
    columns: tuple[str, ...]
    """The names that all files have, in order."""
    nulls: tuple[str, ...]
    rows: int
    rejected: int
    part: Part
    rare: tuple[str, ...] = ()
    """Keys of JSON that few objects have: they may be content, so they are for the terminal alone."""

    @property
    def whole(self) -> bool:
        """Whether it has every row."""
        return self.part == "whole"

    def cell(self, column: str) -> str:
        """SQL for a column."""
        return f"c{self.columns.index(column)}"

    def numbers(self, select: str, where: str = "true") -> tuple[Any, ...]:
        """The first row of a SELECT from the sample."""
        return tuple(self.all(f"SELECT {select} FROM sample WHERE {where}")[0])

    def of_each(self, expression: str, columns: Sequence[str], where: str = "true") -> tuple[Any, ...]:
        """The number that an aggregate of `{}` gives for each column, some columns at a time: memory has an end."""
        found: list[Any] = []
        for start in range(0, len(columns), TOGETHER):
            some = [expression.format(self.cell(each)) for each in columns[start : start + TOGETHER]]
            found += self.numbers(", ".join(some), where)
        return tuple(found)

    def all(self, query: str) -> list[Any]:
        """Every row of a query."""
        with safely("looking at a sample"):
            return self.connection.execute(query).fetchall()

    def values(self, most: int) -> dict[str, list[str | None]]:
        """The columns in the order of the file, with the values of evenly spread rows."""
        cells = ", ".join(self.cell(column) for column in self.columns)
        found = self.all(f"SELECT {cells} FROM sample WHERE {self.spread(most)} ORDER BY rowid")
        return {column: [row[n] for row in found] for n, column in enumerate(self.columns)}

    def spread(self, most: int) -> str:
        """SQL for WHERE: evenly spread rows, `most` of them or a few more."""
        return f"rowid % {max(1, self.rows // most)} = 0"


@dataclass(frozen=True)
class _File:
    feed: FileFormat
    columns: tuple[str, ...]
    table: str
    rejected: int
    part: Part
    rare: tuple[str, ...]


def read_sample(
    paths: Sequence[Path],
    connection: DuckDBPyConnection,
    folder: Path,
    memory: int,
    described: FileFormat | None = None,
) -> Sample:
    """Read a sample of the files, as a feed describes them or as they look.

    Raises SourceError for a file that landing could not read, or files that differ.
    """
    files = [_file(path, f"file{n}", connection, folder / str(n), memory, described) for n, path in enumerate(paths)]
    columns = _common(paths, files)
    parts = []
    for n, each in enumerate(files):
        cells = ", ".join(f"trim(c{each.columns.index(name)}, {sql.BLANKS}) AS c{m}" for m, name in enumerate(columns))
        parts.append(f"SELECT {cells}, {n} AS _file FROM {each.table}")
    connection.execute(f"CREATE TABLE joined AS {' UNION ALL '.join(parts)}")
    nulls = _nulls(connection)
    missing = ", ".join(literal(each) for each in ("", *nulls))
    cells = ", ".join(f"CASE WHEN c{n} NOT IN ({missing}) THEN c{n} END AS c{n}" for n in range(len(columns)))
    connection.execute(f"CREATE TABLE sample AS SELECT {cells}, _file FROM joined; DROP TABLE joined")
    (rows,) = connection.execute("SELECT count(*) FROM sample").fetchall()[0]
    if not rows:
        raise SourceError(f"{paths[0].name}: has a header and no record below it: fetch the file again")
    rare = tuple(dict.fromkeys(chain.from_iterable(each.rare for each in files)))
    rejected = sum(each.rejected for each in files)
    return Sample(connection, files[0].feed, columns, nulls, rows, rejected, _least(each.part for each in files), rare)


def _least(parts: Iterable[Part]) -> Part:
    found = set(parts)
    return "beginning" if "beginning" in found else "spread" if "spread" in found else "whole"


def _file(
    path: Path, table: str, connection: DuckDBPyConnection, folder: Path, memory: int, described: FileFormat | None
) -> _File:
    folder.mkdir()
    head = _head(path)
    described = described or _layout(path, head, memory)
    text = described.format in ("csv", "json")
    part, seen = _part(path, head, described, folder) if text else (path, "whole")
    names: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    if described.format == "json":
        part, names, rare = _objects(path, part, described, folder, whole=seen == "whole")
        described_part = described.model_copy(update={"encoding": "utf-8"})
    else:
        described_part = described
    found = feed.table_of(described_part, names, part, connection, folder, memory)
    most = min(ROWS, max(FEW, CELLS // max(1, len(found.columns))))
    with safely(f"{path.name}: reading a sample"):
        limit = f"LIMIT {most}" if seen == "whole" else ""  # of a part every row counts
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {found.relation} {limit}")
        (rejected,) = connection.execute(found.rejected).fetchall()[0] if found.rejected else (0,)
    if described.format == "csv":
        connection.execute("DELETE FROM reject_errors; DELETE FROM reject_scans")
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0]
    if described.format != "json":
        _check_header(path.name, found.columns, connection, table)
    return _File(
        described, found.columns, table, int(rejected), "beginning" if seen == "whole" and rows == most else seen, rare
    )


def _layout(path: Path, head: bytes, memory: int) -> FileFormat:
    """How a file looks. Of a workbook, the first sheet that is a table if the first one of all is none."""
    found = layout(path, head)
    if found.format != "excel":
        return found
    return found.model_copy(update={"sheet": workbook.first_table(path, memory)})


def _head(path: Path) -> bytes:
    """The first bytes, unpacked. Raises SourceError for a file that is empty, damaged or not there."""
    with _readable(path), plain.opened(path) as file:
        head = file.read(MOST)
    if not head.strip():
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    return head


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, plain.DAMAGED) as error:
        why = getattr(error, "strerror", None) or "it is damaged or incomplete: fetch the file again"
        raise SourceError(f"{path.name}: cannot be read: {why}") from None


def _part(path: Path, head: bytes, described: FileFormat, folder: Path) -> tuple[Path, Part]:
    """The file itself if it is small, otherwise a part of it under its own name; and which part that is."""
    zipped = path.name.lower().endswith(".gz")
    if len(head) < MOST and not zipped:
        return path, "whole"
    whole = len(head) < MOST
    part = folder / (path.name[: -len(".gz")] if zipped else path.name)
    with part.open("wb") as target:
        if whole or described.format == "json" or described.encoding == "utf-16":
            target.write(head)
            return part, "whole" if whole else "beginning"
        if zipped:
            target.writelines(_packed_pieces(path))
        else:
            target.writelines(_pieces(path, head))
    return part, "spread"


def _pieces(path: Path, head: bytes) -> Iterator[bytes]:
    """The beginning of a file of lines, then whole lines from evenly spread places."""
    size, length = path.stat().st_size, MOST // PIECES
    yield head[: head.rfind(b"\n", 0, length) + 1] or head
    with path.open("rb") as file:
        for n in range(1, PIECES):
            file.seek((size - length) * n // (PIECES - 1))
            piece = file.read(length)
            yield piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]


def _packed_pieces(path: Path) -> Iterator[bytes]:
    """The same of a packed file, whose length shows only at its end: of too many pieces every second one goes."""
    kept: list[bytes] = []
    apart = 1
    with _readable(path), plain.opened(path) as file:
        for n in range(UNPACKED // PACKED_PIECE):
            piece = file.read(PACKED_PIECE)
            if not piece:
                break
            kept += [piece] if n % apart == 0 else []
            if len(kept) > MOST // PACKED_PIECE:
                kept, apart = kept[::2], 2 * apart
    yield kept[0][: kept[0].rfind(b"\n") + 1] or kept[0]
    for piece in kept[1:]:
        yield piece[piece.find(b"\n") + 1 : piece.rfind(b"\n") + 1]


def _objects(
    path: Path, part: Path, described: FileFormat, folder: Path, *, whole: bool
) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """The objects of a part, one on each line, and the keys of their values, in order: the common and the rare."""
    lines = folder / f"lines-{path.stem}.json"
    found = objects.read(plain.text(part, described.encoding, folder / "text"), (), lines)
    if not found.objects or (found.long and whole):
        raise SourceError(f"{path.name}: has no objects that can be read: export an array of them, or one on each line")
    counts: Counter[str] = Counter()
    with lines.open(encoding="utf-8") as file:
        for line in islice(file, 5_000):
            counts.update(dict.fromkeys(_keys(json.loads(line)), 1))
    if found.objects == 1 and any(key in counts for key in ("features", "data", "results", "value")):
        raise SourceError(f"{path.name}: its records are inside another object: export them as an array of objects")
    most = max(counts.values(), default=1)
    if found.objects > 1 and most == 1:  # such as names of people, which would be written down
        raise SourceError(f"{path.name}: no two objects have a key in common: export objects with the same keys")
    enough = min(FEW, most)
    common = tuple(key for key, count in counts.items() if count >= enough and KEY.fullmatch(key.replace(".", "")))
    return lines, common, tuple(sorted(counts.keys() - set(common)))


def _keys(value: dict[str, Any], above: str = "") -> Iterator[str]:
    """The keys of an object's values; a key with dots leads into inner objects and pairs of coordinates."""
    for key, inner in value.items():
        path = f"{above}{key}"
        if isinstance(inner, dict) and inner:
            yield from _keys(inner, f"{path}.")
        elif isinstance(inner, list) and len(inner) == 2 and all(map(_is_number, inner)):
            yield from (f"{path}.0", f"{path}.1")
        else:
            yield path


def _is_number(value: Any) -> bool:
    """Whether it is a number; what a server gives is read as it is written, as a text."""
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))


def _check_header(shown: str, names: tuple[str, ...], connection: DuckDBPyConnection, table: str) -> None:
    """Raise SourceError for names that could not be declared, or that are a record: those would be written down."""
    stripped = [name.strip() for name in names]
    suspect = _record_at(stripped, connection, table)
    if suspect is not None:
        raise SourceError(
            f"{shown}: the first line looks like a record, not like the names of columns (see column {suspect + 1}): "
            "export the file with a header. If these are names, give that column another one"
        )
    twice = [name for name, count in Counter(name for name in names if name).items() if count > 1]
    if twice:
        raise SourceError(
            f"{shown}: several columns have the same name ({', '.join(twice[:5])}): give each its own in the export"
        )
    if not any(stripped):
        raise SourceError(f"{shown}: no column has a name: export the file with a header")


def _record_at(names: Sequence[str], connection: DuckDBPyConnection, table: str) -> int | None:
    """The first column that tells that the names are a record: they are dates, numbers, or values that come again."""
    values = [n for n, name in enumerate(names) if name and _PERSONAL.fullmatch(name)]
    dated = _dates([name if re.search(r"\d", name) else "" for name in names], connection)
    sure = [n for n, name in enumerate(names) if "@" in name or dated[n]]
    again = _repeated(names, connection, table)
    many = values if len(values) > len(names) // 3 else []
    return min((*sure, *many, *again, *_like_their_values(names, connection, table)), default=None)


def _repeated(names: Sequence[str], connection: DuckDBPyConnection, table: str) -> list[int]:
    """The columns whose name is a value of theirs, unless a whole header comes again."""
    tried = [n for n, name in enumerate(names) if len(name) > 1]
    same = {n: f"trim(c{n}) = {literal(names[n])}" for n in tried}
    found: list[int] = []
    for start in range(0, len(tried), TOGETHER):
        among = ", ".join(f"count(*) FILTER ({same[n]})" for n in tried[start : start + TOGETHER])
        found += connection.execute(f"SELECT {among} FROM {table}").fetchall()[0]
    again = [n for n, repeats in zip(tried, found, strict=True) if repeats]
    if len(again) == len(tried) > 1 and len(set(found)) == 1:
        whole = f"SELECT count(*) FROM {table} WHERE {' AND '.join(same.values())}"
        return again if connection.execute(whole).fetchall()[0][0] != found[0] else []
    return again


def _like_their_values(names: Sequence[str], connection: DuckDBPyConnection, table: str) -> list[int]:
    """The columns of names, addresses and the like whose own name is one of these."""
    found = []
    for n, name in enumerate(names):
        kinds = {} if named(name) else matched(SampledColumn("", (name,)))
        if kinds:
            rows = connection.execute(
                f"SELECT DISTINCT c{n} FROM {table} WHERE c{n} IS NOT NULL LIMIT {TOLD_BY}"
            ).fetchall()
            if guess(SampledColumn("", tuple(value for (value,) in rows))).kind in kinds:
                found.append(n)
    return found


def _dates(names: Sequence[str], connection: DuckDBPyConnection) -> list[bool]:
    """Which of the names are dates."""
    forms = sql.array(form for form in diagnosis.FORMATS if form not in ("%Y", "%Y-%m"))
    cells = f"unnest({sql.array(names)}) AS name, unnest(range({len(names)})) AS n"
    query = f"SELECT try_strptime(name, {forms}) IS NOT NULL FROM (SELECT {cells}) ORDER BY n"
    return [dated for (dated,) in connection.execute(query).fetchall()]


def _common(paths: Sequence[Path], files: Sequence[_File]) -> tuple[str, ...]:
    """The names that all files have, in their order. Raises SourceError for files that cannot be one feed."""
    first = files[0]
    for path, each in zip(paths, files, strict=True):
        same = ("format", "encoding", "delimiter", "sheet")
        if any(getattr(each.feed, key) != getattr(first.feed, key) for key in same):
            raise SourceError(
                f"{path.name}: has another format, encoding, delimiter, or sheet than {paths[0].name}: add them as two "
                "sources"
            )
    names = tuple(name for name in first.columns if name.strip() and all(name in each.columns for each in files))
    for path, each in zip(paths, files, strict=True):
        if tuple(name for name in each.columns if name in names) != names or not names:
            raise SourceError(
                f"{path.name}: its columns are not those of {paths[0].name} in the same order: add them as two sources"
            )
    return names


def _nulls(connection: DuckDBPyConnection) -> tuple[str, ...]:
    """The texts of NULLS that a good number of values are."""
    tokens = ", ".join(literal(token) for token in NULLS)
    found = connection.execute(
        "SELECT value AS token FROM (UNPIVOT joined ON COLUMNS('c[0-9]+') INTO NAME name VALUE value) "
        f"WHERE value IN ({tokens}) GROUP BY token HAVING count(*) >= {FEW}"
    ).fetchall()
    return tuple(token for token in NULLS if (token,) in found)
