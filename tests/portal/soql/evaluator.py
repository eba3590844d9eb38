"""SoQL evaluated a second time: over lists of dicts, in plain Python, from the tree that the generator built.

No parser, compiler or database of the portal takes part. Numbers are exact (Decimal) until a division, a power, a
logarithm, an average or a distance makes them doubles. Where Socrata's documentation is silent, these are the portal's
choices, and what is checked here:

- a division or remainder by zero, and the logarithm of what is not positive, are null; a remainder has the sign of
  the dividend; `round` rounds halves away from zero;
- AND, OR, NOT, comparisons, IN and BETWEEN know three values, as in SQL; WHERE, HAVING and FILTER keep what is true;
- `greatest`, `least` and aggregates pass over nulls; a sum, an average or an extreme of nothing is null, a count 0;
- nulls are the largest: last in ascending order, first in descending order; texts are ordered by their code points;
- `date_diff_d` counts whole days, towards zero; weeks are those of ISO 8601; Sunday is day 0;
- distances are right to ten meters in a thousand kilometres;
- `trim` takes blanks away; pads cut a text that is too long; a part beyond the last of `split_part` is empty;
- the order of rows that an ORDER BY leaves equal is not checked, only that a page holds some of them.

`Undecided` is raised where two doubles lie so close that the last bit decides, which a second evaluation cannot know.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import statistics
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import shapely
from pyproj import Geod
from shapely.geometry import shape
from soql.tree import Join, Node, Order, Question, Select, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]
Rows = list[Row]

CLOSE = 1e-9
LAMBERT = 1e-5
"""How far the portal's distances may be from the geodesic: it uses Lambert's formula, some meters in a thousand km."""
EARTH = Geod(ellps="WGS84")


class Meters(float):
    """A distance, which the portal does not compute to the last digit."""


class Undecided(Exception):  # noqa: N818 -- it is no error, but the end of what can be known
    """The last bit of a double would decide."""


@dataclass(frozen=True)
class Answer:
    """Rows in order, with the keys that order them; the page that is shown begins at `start`."""

    rows: Rows
    keys: list[tuple[Any, ...]]
    start: int
    size: int | None
    names: tuple[str, ...]

    @property
    def shown(self) -> Rows:
        """The page, with ties as they come."""
        end = None if self.size is None else self.start + self.size
        return self.rows[self.start : end]


@dataclass(frozen=True)
class Around:
    """What an expression may see: a row, or a group of rows with the values it is grouped by."""

    row: Row
    group: Rows | None = None
    partition: Callable[[Node], Any] | None = None
    """gives the value of a window over the row at hand"""


# -- single values


def close(left: float, right: float) -> bool:
    """Nearly the same double."""
    return math.isclose(left, right, rel_tol=CLOSE, abs_tol=1e-11)


def _pair(left: Any, right: Any) -> tuple[Any, Any]:
    if isinstance(left, float) or isinstance(right, float):
        return float(left), float(right)
    return left, right


def _finite(value: float | complex) -> float:
    if isinstance(value, complex) or not math.isfinite(value) or abs(value) > 1e15:
        raise Undecided
    return value


def _exactly(work: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    left, right = _pair(left, right)
    if isinstance(left, float):
        return _finite(work(left, right))
    with localcontext() as context:
        context.prec = 200
        return work(left, right)


def _divide(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if isinstance(right, float) and 0 < abs(right) < 1e-9:
        raise Undecided
    return None if right == 0 else _finite(float(left) / float(right))


def _remainder(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    left, right = _pair(left, right)
    if right == 0:
        return None
    if not isinstance(left, float):
        return left % right
    quotient = left / right
    if abs(quotient) > 1e6 or close(quotient, round(quotient)) or abs(right) < 1e-6:
        raise Undecided
    return math.fmod(left, right)


def _power(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    try:
        return _finite(float(left) ** float(right))
    except (OverflowError, ZeroDivisionError):
        raise Undecided from None


def _less(left: Any, right: Any) -> bool:
    left, right = _pair(left, right)
    if isinstance(left, float) and left != right and close(left, right):
        raise Undecided
    return bool(left < right)


def _equal(left: Any, right: Any) -> bool:
    left, right = _pair(left, right)
    if isinstance(left, float) and close(left, right) and left != 0:
        raise Undecided
    return bool(left == right)


def compare(sign: str, left: Any, right: Any) -> bool | None:
    """`left sign right`, unknown where one is null."""
    if left is None or right is None:
        return None
    equal = _equal(left, right)
    if sign in ("=", "=="):
        return equal
    if sign in ("!=", "<>"):
        return not equal
    below = not equal and _less(left, right)
    return {"<": below, "<=": below or equal, ">": not below and not equal, ">=": not below}[sign]


def both(values: Iterable[bool | None]) -> bool | None:
    """AND of three values."""
    found = list(values)
    return False if False in found else None if None in found else True


def either(values: Iterable[bool | None]) -> bool | None:
    """OR of three values."""
    found = list(values)
    return True if True in found else None if None in found else False


def opposite(value: bool | None) -> bool | None:
    """NOT."""
    return None if value is None else not value


def like(value: str | None, pattern: str | None) -> bool | None:
    """LIKE with % and _."""
    if value is None or pattern is None:
        return None
    parts = {"%": ".*", "_": "."}
    return bool(re.fullmatch("".join(parts.get(c) or re.escape(c) for c in pattern), value, re.DOTALL))


def _rounded(value: Any, way: str, places: int = 0) -> Any:
    if value is None:
        return None
    step = Decimal(1).scaleb(-places)
    if isinstance(value, float):
        scaled = value * 10**places
        near = scaled if way != ROUND_HALF_UP else scaled * 2
        if close(near, round(near)) and abs(near - round(near)) < 1e-6 and near != 0:
            raise Undecided
        with localcontext() as context:
            context.prec = 60
            return float(Decimal(value).quantize(step, way))
    with localcontext() as context:
        context.prec = 200
        return value.quantize(step, way)


def plain(value: Any) -> str | None:
    """A value's text, as `||` and casts have it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        written = format(value.normalize(), "f")
        return "0" if written == "-0" else written
    if isinstance(value, datetime):
        ending = "Z" if value.tzinfo else ""
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + ending
    raise Undecided


def _unaccented(value: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", value) if not unicodedata.combining(c))


def _part(value: str, separator: str, number: Decimal) -> str:
    parts = value.split(separator)
    return parts[int(number) - 1] if number <= len(parts) else ""


def _padded(value: str, size: Decimal, filler: str, left: bool) -> str:
    missing = int(size) - len(value)
    if missing <= 0:
        return value[: int(size)]
    filled = (filler * missing)[:missing]
    return filled + value if left else value + filled


def _bucket(value: Any, low: Any, high: Any, count: Any) -> Decimal:
    if any(isinstance(part, float) for part in (value, low, high)):
        place = (float(value) - float(low)) / (float(high) - float(low)) * float(count)
        if close(place, round(place)) or close(float(value), float(low)) or close(float(value), float(high)):
            raise Undecided
    if value < low:
        return Decimal(0)
    if value >= high:
        return Decimal(count + 1)
    return Decimal(math.floor((Fraction(value) - Fraction(low)) / (Fraction(high) - Fraction(low)) * int(count)) + 1)


def duration(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text)
    assert found, text
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _meters(place: Any, longitude: float, latitude: float) -> float:
    return float(EARTH.inv(*place["coordinates"], longitude, latitude)[2])


def _in_circle(place: Any, latitude: Any, longitude: Any, radius: Any) -> bool:
    far = _meters(place, float(longitude), float(latitude))
    if math.isclose(far, float(radius), rel_tol=LAMBERT, abs_tol=1):
        raise Undecided
    return far <= radius


def _in_box(place: Any, north: Any, west: Any, south: Any, east: Any) -> bool:
    longitude, latitude = (Decimal(str(part)) for part in place["coordinates"])
    return bool(west <= longitude <= east and south <= latitude <= north)


def geometry(value: Any) -> Any:
    """A shape from GeoJSON or from well-known text."""
    return shapely.from_wkt(value) if isinstance(value, str) else shape(value)


def _touching(left: Any, right: Any, how: str) -> bool:
    one, other = geometry(left), geometry(right)
    if one.distance(other.boundary) < 1e-9:
        raise Undecided
    return bool(getattr(one, how)(other))


def _zoned(value: datetime, zone: str) -> datetime:
    return value.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _truncated(value: Any, **parts: int) -> datetime:
    return _moment(value).replace(hour=0, minute=0, second=0, microsecond=0, **parts)  # type: ignore[arg-type]


def _whole_days(later: Any, sooner: Any) -> Decimal:
    return Decimal(int((_moment(later) - _moment(sooner)) / timedelta(days=1)))


STRICT: dict[str, Callable[..., Any]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "ceil": lambda x: _rounded(x, ROUND_CEILING),
    "floor": lambda x: _rounded(x, ROUND_FLOOR),
    "round": lambda x, places=Decimal(0): _rounded(x, ROUND_HALF_UP, int(places)),
    "ln": lambda x: math.log(x) if x > 0 else None,
    "width_bucket": _bucket,
    "lower": str.lower,
    "upper": str.upper,
    "trim": lambda s: s.strip(" "),
    "length": lambda s: Decimal(len(s)),
    "unaccent": _unaccented,
    "||": lambda a, b: str(plain(a)) + str(plain(b)),
    "starts_with": str.startswith,
    "contains": lambda s, part: part in s,
    "caseless_eq": lambda a, b: a.lower() == b.lower(),
    "caseless_ne": lambda a, b: a.lower() != b.lower(),
    "caseless_starts_with": lambda a, b: a.lower().startswith(b.lower()),
    "caseless_contains": lambda a, b: b.lower() in a.lower(),
    "caseless_one_of": lambda a, *rest: a.lower() in [other.lower() for other in rest],
    "substring": lambda s, start, size=None: s[int(start) - 1 :][: None if size is None else int(size)],
    "split_part": _part,
    "replace": str.replace,
    "left_pad": lambda s, size, filler: _padded(s, size, filler, left=True),
    "right_pad": lambda s, size, filler: _padded(s, size, filler, left=False),
    "date_trunc_y": lambda d: _truncated(d, day=1, month=1),
    "date_trunc_ym": lambda d: _truncated(d, day=1),
    "date_trunc_ymd": _truncated,
    "date_extract_y": lambda d: Decimal(d.year),
    "date_extract_m": lambda d: Decimal(d.month),
    "date_extract_d": lambda d: Decimal(d.day),
    "date_extract_hh": lambda d: Decimal(d.hour),
    "date_extract_mm": lambda d: Decimal(d.minute),
    "date_extract_ss": lambda d: Decimal(d.second),
    "date_extract_dow": lambda d: Decimal(d.isoweekday() % 7),
    "date_extract_woy": lambda d: Decimal(d.isocalendar()[1]),
    "date_diff_d": _whole_days,
    "date_add": lambda d, text: d + duration(text),
    "to_floating_timestamp": _zoned,
    "within_box": _in_box,
    "within_circle": _in_circle,
    "within_polygon": lambda a, b: _touching(a, b, "within"),
    "intersects": lambda a, b: _touching(a, b, "intersects"),
    "distance_in_meters": lambda a, b: Meters(_meters(a, *geometry(b).coords[0])),
}
"""Functions that give null when any argument is null."""

ARITHMETIC = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def _cast(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "text":
        return plain(value)
    if kind == "number":
        return Decimal(value) if not isinstance(value, bool) else Decimal(int(value))
    return _moment(value)


def _extreme(values: Sequence[Any], least: bool) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if any(isinstance(value, float) for value in known):
        known = [float(value) for value in known]
    return min(known) if least else max(known)


# -- aggregates


def _sum(values: list[Any]) -> Any:
    if not values:
        return None
    if any(isinstance(value, float) for value in values):
        return _finite(math.fsum(map(float, values)))
    return functools.reduce(lambda a, b: _exactly(ARITHMETIC["+"], a, b), values)


def _mean(values: list[Any]) -> Any:
    whole = _sum(values)
    return None if whole is None else float(whole) / len(values) if isinstance(whole, float) else float(
        Fraction(whole) / len(values)
    )  # fmt: skip


def _median(values: list[Any]) -> Any:
    return float(statistics.median(map(Fraction, values))) if values else None


def _deviation(values: list[Any], sample: bool) -> Any:
    if len(values) < 1 + sample:
        return None
    numbers = [Fraction(value) for value in values]
    middle = sum(numbers) / len(numbers)
    return math.sqrt(sum((n - middle) ** 2 for n in numbers) / (len(numbers) - sample))


def _line(pairs: list[tuple[Any, Any]], what: str) -> Any:
    """`pairs` are (y, x), as in SQL."""
    if not pairs:
        return None
    ys, xs = ([Fraction(v) for v in side] for side in zip(*pairs, strict=True))
    my, mx = sum(ys) / len(ys), sum(xs) / len(xs)
    sxx = sum((x - mx) ** 2 for x in xs)
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    syy = sum((y - my) ** 2 for y in ys)
    if sxx < Fraction(1, 10**6) or (what == "regr_r2" and syy < Fraction(1, 10**6)):
        raise Undecided
    if what == "regr_r2":
        return float(sxy**2 / (sxx * syy))
    slope = sxy / sxx
    found = float(slope if what == "regr_slope" else my - slope * mx)
    if abs(found) < 1e-9:
        raise Undecided
    return found


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": lambda values: Decimal(len(values)),
    "count distinct": lambda values: Decimal(len(_different(values))),
    "sum": _sum,
    "avg": _mean,
    "min": lambda values: _extreme(values, least=True),
    "max": lambda values: _extreme(values, least=False),
    "median": _median,
    "stddev_pop": lambda values: _deviation(values, sample=False),
    "stddev_samp": lambda values: _deviation(values, sample=True),
}
LINES = ("regr_slope", "regr_intercept", "regr_r2")
RANKS = ("row_number", "rank", "dense_rank", "ntile", "lead", "lag", "first_value", "last_value")


def _different(values: list[Any]) -> list[Any]:
    if any(isinstance(value, float) for value in values):
        ranked = sorted(map(float, values))
        if any(a != b and close(a, b) for a, b in itertools.pairwise(ranked)):
            raise Undecided
        return list(set(ranked))
    return list(dict.fromkeys(values))


# -- expressions


class Evaluator:
    """Evaluates questions over datasets."""

    def __init__(self, datasets: dict[str, Rows], columns: dict[str, tuple[str, ...]], stems: dict[str, str]) -> None:
        self.datasets = datasets
        self.columns = columns
        self.stems = stems

    def value(self, node: Node, around: Around) -> Any:
        """The value of an expression."""
        op = node.op
        if op == "column":
            return around.row[node.value[0]]
        if op in ("number", "text", "bool"):
            return node.value if op != "number" else Decimal(str(node.value))
        if op == "null":
            return None
        if op == "over":
            assert around.partition is not None
            return around.partition(node)
        if op in AGGREGATES or op == "count(*)" or op in LINES:
            assert around.group is not None
            return self.aggregate(node, around.group)
        return self._operation(node, around)

    def _operation(self, node: Node, around: Around) -> Any:
        op = node.op
        if op in ("and", "or"):
            return (both if op == "and" else either)(self.value(arg, around) for arg in node.args)
        if op in ("case", "case when", "iif"):
            return self._case(node, around)
        values = [self._coerced(arg, node, around) for arg in node.args]
        if op in ARITHMETIC:
            return _exactly(ARITHMETIC[op], *values)
        plainly = _PLAIN.get(op)
        if plainly:
            return plainly(node, values)
        if any(value is None for value in values):
            return None
        found = STRICT[op](*values)
        return _finite(found) if isinstance(found, float) else found

    def _coerced(self, arg: Node, parent: Node, around: Around) -> Any:
        """A text literal beside a number or a date is one itself."""
        value = self.value(arg, around)
        if arg.op != "text" or parent.op in ("||", "cast", "date_add", "to_floating_timestamp"):
            return value
        if arg.kind == "number":
            return Decimal(value)
        return _moment(value) if arg.kind in ("floating", "fixed") else value

    def _case(self, node: Node, around: Around) -> Any:
        parts = node.args
        has_else = len(parts) % 2 == 1
        kinds = {part.kind for part in (*parts[1::2], *(parts[-1:] if has_else else ()))}
        found = parts[-1] if has_else else None
        for condition, result in zip(parts[:-1:2], parts[1::2], strict=False):
            if self.value(condition, around) is True:
                found = result
                break
        if found is None:
            return None
        value = self._coerced(found, replace(node, op="case"), around)
        doubles = any(isinstance(_quietly(self, part, around), float) for part in (*parts[1::2], *parts[-1:]))
        return float(value) if kinds == {"number"} and doubles and isinstance(value, Decimal) else value

    def aggregate(self, node: Node, group: Rows) -> Any:
        """An aggregate over rows."""
        if isinstance(node.value, Node):
            group = [row for row in group if self.value(node.value, Around(row)) is True]
        if node.op == "count(*)":
            return Decimal(len(group))
        rows = [[self.value(arg, Around(row)) for arg in node.args] for row in group]
        known = [row for row in rows if all(value is not None for value in row)]
        if node.op in LINES:
            return _line([(row[0], row[1]) for row in known], node.op)
        return AGGREGATES[node.op]([row[0] for row in known])

    # -- windows

    def windows(self, rows: Rows) -> list[Callable[[Node], Any]]:
        """For each row, what gives the value of a window there."""
        found: dict[tuple[int, Node], Any] = {}

        def at(number: int) -> Callable[[Node], Any]:
            def value(node: Node) -> Any:
                if (number, node) not in found:
                    found.update(self._window(node, rows))
                return found[number, node]

            return value

        return [at(number) for number in range(len(rows))]

    def _window(self, node: Node, rows: Rows) -> dict[tuple[int, Node], Any]:
        window: Window = node.value
        (inner,) = node.args
        parts: dict[Any, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            parts[tuple(_hashed(self.value(p, Around(row))) for p in window.partition)].append(number)
        found = {}
        for members in parts.values():
            keys = {n: self.keys(window.order, Around(rows[n])) for n in members}
            ranked = sorted(members, key=functools.cmp_to_key(lambda a, b: _before(keys[a], keys[b])))  # noqa: B023
            for place, number in enumerate(ranked):
                peers = [n for n in ranked if _before(keys[n], keys[number]) == 0]
                found[number, node] = self._ranked(inner, rows, ranked, place, peers, keys)
        return found

    def _ranked(
        self, inner: Node, rows: Rows, ranked: list[int], place: int, peers: list[int], keys: dict[int, Any]
    ) -> Any:
        first, last = ranked.index(peers[0]), ranked.index(peers[-1])
        if inner.op not in RANKS:
            return self.aggregate(inner, [rows[n] for n in (ranked[: last + 1] if keys[ranked[0]] else ranked)])
        steps = sum(_before(keys[a], keys[b]) != 0 for a, b in itertools.pairwise(ranked[: first + 1]))
        counts = {"row_number": place + 1, "rank": first + 1, "dense_rank": steps + 1}
        if inner.op in counts:
            return Decimal(counts[inner.op])
        if inner.op == "ntile":
            return Decimal(_tile(len(ranked), int(inner.args[0].value), place))
        shift = {"lead": place + 1, "lag": place - 1, "first_value": 0, "last_value": last}[inner.op]
        return self.value(inner.args[0], Around(rows[ranked[shift]])) if 0 <= shift < len(ranked) else None

    def keys(self, order: Sequence[Order], around: Around) -> tuple[Any, ...]:
        """The values that an ORDER BY compares, each with its direction and where nulls go."""
        return tuple(
            (self.value(key.node, around), key.down, key.nulls or ("FIRST" if key.down else "LAST")) for key in order
        )

    # -- selects

    def answer(self, question: Question, default: int | None = 1000) -> Answer:
        """What the question must give."""
        first = question.chain[0]
        rows, names = self.datasets["main"], self.columns["main"]
        rows = [row for row in rows if all(self._filtered(row, *pair) for pair in question.filters)]
        rows = [row for row in rows if self._found(row, question.words)]
        found = self.select(first, rows, names)
        for select in question.chain[1:]:
            found = self.select(select, found.shown, found.names)
        size = default if found.size is None else found.size
        return replace(found, size=size)

    def _filtered(self, row: Row, name: str, text: str) -> bool:
        value = row[name]
        if isinstance(value, bool):
            return plain(value) == text
        if isinstance(value, Decimal):
            return value == Decimal(text)
        if isinstance(value, datetime):
            return value == _moment(text)
        return bool(value == text)

    def _found(self, row: Row, words: str) -> bool:
        texts = [value for name, value in row.items() if isinstance(value, str) and not name.startswith(":")]
        found = (word for text in texts for word in re.findall(r"\d+\.\d+|\w+", text.lower()))
        there = {self.stems.get(word, word) for word in found}
        numbers = {value for value in row.values() if isinstance(value, Decimal)}
        return all(
            self.stems.get(w, w) in there or (_is_number(w) and Decimal(w) in numbers) for w in words.lower().split()
        )

    def select(self, select: Select, rows: Rows, names: tuple[str, ...]) -> Answer:
        """One select over rows that have these columns."""
        if select.source:
            rows, names = self.datasets[select.source], self.columns[select.source]
        for join in select.joins:
            rows = self._joined(join, rows)
        if select.search:
            rows = [row for row in rows if self._found(row, select.search)]
        items = select.items or tuple((Node("column", value=(name, False)), name) for name in names)
        if select.where is not None:
            rows = [row for row in rows if self.value(select.where, Around(row)) is True]
        found = self._grouped(select, items, rows) if _is_grouped(select, items) else self._each(select, items, rows)
        if select.distinct:
            found = _first_of_each(found)
        found.sort(key=functools.cmp_to_key(lambda a, b: _before(a[1], b[1])))
        shown, size = [pair[0] for pair in found], select.limit
        for way, other in select.unions:
            right = self.select(other, [], ())
            renamed = [dict(zip([alias for _, alias in items], row.values(), strict=True)) for row in right.shown]
            shown = _united(way, shown, renamed)
            found = [(row, ()) for row in shown]
        return Answer(
            [row for row, _ in found], [key for _, key in found], select.offset, size, tuple(n for _, n in items)
        )

    def _joined(self, join: Join, rows: Rows) -> Rows:
        other = self.select(join.query, [], ()).shown if join.query else self.datasets[join.dataset]
        names = (
            tuple(alias for _, alias in join.query.items) if join.query and join.query.items
            else self.columns[join.dataset]
        )  # fmt: skip
        found, used = [], set()
        for row in rows:
            matched = False
            for number, right in enumerate(other):
                left = self.value(join.left, Around(row))
                if compare("=", left, right[join.right]) is True:
                    found.append(row | {f"@{join.alias}.{name}": right[name] for name in names})
                    matched = True
                    used.add(number)
            if not matched and join.way.startswith(("LEFT", "FULL")):
                found.append(row | {f"@{join.alias}.{name}": None for name in names})
        if join.way.startswith(("RIGHT", "FULL")):
            for number, right in enumerate(other):
                if number not in used:
                    empty = dict.fromkeys(rows[0] if rows else self.columns["main"])
                    found.append(empty | {f"@{join.alias}.{name}": right[name] for name in names})
        return found

    def _each(self, select: Select, items: Sequence[tuple[Node, str]], rows: Rows) -> list[tuple[Row, tuple[Any, ...]]]:
        found = []
        for row, at in zip(rows, self.windows(rows), strict=True):
            around = Around(row, partition=at)
            shown = {alias: self.value(node, around) for node, alias in items}
            found.append((shown, self.keys(_resolved(select.order, items), around)))
        return found

    def _grouped(
        self, select: Select, items: Sequence[tuple[Node, str]], rows: Rows
    ) -> list[tuple[Row, tuple[Any, ...]]]:
        groups: dict[tuple[Any, ...], Rows] = {} if select.group else {(): []}
        for row in rows:
            key = tuple(_hashed(self.value(node, Around(row))) for node in select.group)
            groups.setdefault(key, []).append(row)
        found = []
        for members in groups.values():
            around = Around(members[0] if members else {}, members)
            if select.having is not None and self.value(_alias(select.having, items), around) is not True:
                continue
            shown = {alias: self.value(node, around) for node, alias in items}
            found.append((shown, self.keys(_resolved(select.order, items), around)))
        return found


def _quietly(evaluator: Evaluator, node: Node, around: Around) -> Any:
    try:
        return evaluator.value(node, around)
    except Undecided:
        return 0.0


def _between(values: list[Any]) -> bool | None:
    value, low, high = values
    return both([compare(">=", value, low), compare("<=", value, high)])


def _among(values: list[Any]) -> bool | None:
    first, *rest = values
    return either(compare("=", first, other) for other in rest)


def _nullif(values: list[Any]) -> Any:
    return None if compare("=", *values) is True else values[0]


def _widest(values: list[Any]) -> Any:
    """The first that is not null, a double where one of them is."""
    found = next((value for value in values if value is not None), None)
    doubles = any(isinstance(value, float) for value in values)
    return float(found) if doubles and isinstance(found, Decimal) else found


_PLAIN: dict[str, Callable[[Node, list[Any]], Any]] = {
    **dict.fromkeys(
        ("=", "==", "!=", "<>", "<", "<=", ">", ">="), lambda node, values: compare(node.op, *values)
    ),
    "/": lambda _, values: _divide(*values),
    "%": lambda _, values: _remainder(*values),
    "^": lambda _, values: _power(*values),
    "not": lambda _, values: opposite(values[0]),
    "is null": lambda _, values: values[0] is None,
    "is not null": lambda _, values: values[0] is not None,
    "in": lambda _, values: _among(values),
    "not in": lambda _, values: opposite(_among(values)),
    "between": lambda _, values: _between(values),
    "not between": lambda _, values: opposite(_between(values)),
    "like": lambda _, values: like(*values),
    "not like": lambda _, values: opposite(like(*values)),
    "coalesce": lambda _, values: _widest(values),
    "nullif": lambda _, values: _nullif(values),
    "greatest": lambda _, values: _extreme(values, least=False),
    "least": lambda _, values: _extreme(values, least=True),
    "cast": lambda node, values: _cast(values[0], node.value),
}  # fmt: skip


def _is_grouped(select: Select, items: Sequence[tuple[Node, str]]) -> bool:
    nodes = [*(node for node, _ in items), *(key.node for key in select.order)]
    return bool(select.group) or select.having is not None or any(map(aggregates, nodes))


def aggregates(node: Node) -> bool:
    """True where an aggregate is within, outside of windows."""
    if node.op == "over":
        return False
    return node.op in AGGREGATES or node.op == "count(*)" or node.op in LINES or any(map(aggregates, node.args))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _alias(node: Node, items: Sequence[tuple[Node, str]]) -> Node:
    """The node with selected names in the place of their expressions."""
    if node.op == "column":
        return next((shown for shown, alias in items if alias == node.value[0]), node)
    return replace(node, args=tuple(_alias(arg, items) for arg in node.args))


def _resolved(order: Sequence[Order], items: Sequence[tuple[Node, str]]) -> list[Order]:
    return [replace(key, node=_alias(key.node, items) if key.node.op == "column" else key.node) for key in order]


def _hashed(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return repr(value)
    return value if not isinstance(value, Decimal) else Fraction(value)


def _hashed_row(row: Row) -> Any:
    return tuple(_hashed(value) for value in row.values())


def _first_of_each(found: list[tuple[Row, tuple[Any, ...]]]) -> list[tuple[Row, tuple[Any, ...]]]:
    if any(isinstance(value, float) for row, _ in found for value in row.values()):
        raise Undecided
    kept = {_hashed_row(row): (row, key) for row, key in reversed(found)}
    return list(kept.values())


def _united(way: str, left: Rows, right: Rows) -> Rows:
    if way == "UNION ALL":
        return left + right
    if any(isinstance(value, float) for row in left + right for value in row.values()):
        raise Undecided
    known = {_hashed_row(row): row for row in left}
    others = {_hashed_row(row): row for row in right}
    if way == "UNION":
        return list((known | others).values())
    kept = known.keys() & others.keys() if way == "INTERSECT" else known.keys() - others.keys()
    return [row for key, row in known.items() if key in kept]


def _before(left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
    """-1, 0 or 1: how two rows stand in an ORDER BY."""
    for (a, down, nulls), (b, _, _) in zip(left, right, strict=True):
        if a is None or b is None:
            if a is b:
                continue
            return (-1 if nulls == "FIRST" else 1) * (1 if a is None else -1)
        one, other = _pair(a, b)
        if one == other or (isinstance(one, float) and close(one, other)):
            continue
        return -1 if (one < other) != down else 1
    return 0


def _tile(rows: int, tiles: int, place: int) -> int:
    small, more = divmod(rows, tiles)
    wide = more * (small + 1)
    return place // (small + 1) + 1 if place < wide else more + (place - wide) // max(small, 1) + 1


# -- comparing


def same(seen: Any, expected: Any) -> bool:
    """A value of the API's JSON, and what it must be."""
    if expected is None:
        return seen is None
    if isinstance(expected, bool):
        return seen is expected
    if isinstance(expected, Decimal):
        return isinstance(seen, str) and _as_number(seen) == expected
    if isinstance(expected, float):
        found, digits = _as_number(seen), LAMBERT if isinstance(expected, Meters) else 1e-9
        return found is not None and math.isclose(float(found), expected, rel_tol=digits, abs_tol=1e-7)
    return bool(seen == (plain(expected) if isinstance(expected, datetime) else expected))


def _as_number(text: Any) -> Decimal | None:
    return Decimal(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", text) else None


def difference(seen: Rows, answer: Answer) -> str | None:
    """What is wrong with the rows seen, or None: ties may stand in any order."""
    page = answer.shown
    if len(seen) != len(page):
        return f"{len(seen)} rows, not {len(page)}"
    place, number = answer.start, 0
    while number < len(seen):
        first = place
        while first > 0 and _before(answer.keys[first - 1], answer.keys[place]) == 0:
            first -= 1
        last = place
        while last < len(answer.rows) and _before(answer.keys[last], answer.keys[place]) == 0:
            last += 1
        part = seen[number : number + last - place]
        wrong = _not_among(part, answer.rows[first:last], answer.names)
        if wrong is not None:
            return wrong
        number, place = number + last - place, last
    return None


def _not_among(seen: Rows, expected: Rows, names: tuple[str, ...]) -> str | None:
    left = list(expected)
    for row in seen:
        extra = row.keys() - set(names)
        found = next((n for n, other in enumerate(left) if all(same(row.get(k), other[k]) for k in names)), None)
        if found is None or extra:
            return f"seen {row}, expected {left[0] if left else None}"
        del left[found]
    return None
