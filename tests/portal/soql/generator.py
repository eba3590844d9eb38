"""Random questions: right ones by a typed grammar, and wrong, broken and hostile ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from soql.evaluator import AGGREGATES, Evaluator
from soql.invented import Invented
from soql.tree import Join, Node, Order, Question, Select, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from soql.evaluator import Rows

STEMS = {"stealing": "steal", "steals": "steal", "bicycles": "bicycl", "bicycle": "bicycl", "criminals": "criminal"}
SENTENCES = ("steals bicycles", "a bicycle", "Criminal stealing", "north gate", "North, criminals!", "")
TEXTS = (
    "Nord",
    "nord",
    "Süd",
    "Élan",
    "o'Neil",
    'say "so"',
    "",
    "50% off",
    "a_b",
    " padded ",
    "x-y-z",
    "Ω ohm",
    "日本",
)
KINDS = {"id": "text", "t": "text", "u": "text", "w": "text", "n": "number", "m": "number", "b": "checkbox"} | {
    "d": "floating",
    "f": "fixed",
    "p": "point",
}
OTHER = {"id": "text", "u": "text", "k": "number", "s": "text"}
TYPES = {"text": "text", "number": "number", "checkbox": "checkbox", "floating": "calendar_date", "fixed": "date"} | {
    "point": "point"
}
SCHEMAS = {"main": KINDS, "other": OTHER}


def datasets() -> dict[str, Invented]:
    """What the questions are about: 60 rows with nulls, ties and Unicode, and 9 to join and unite with."""
    dice = random.Random("fuzz")
    rows = []
    for number in range(60):
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(400 * 86400))
        rows.append(
            {
                "id": f"r{number:02}",
                "t": dice.choice((*TEXTS, None)),
                "u": dice.choice(("Nord", "Süd", "West", None)),
                "w": dice.choice(SENTENCES),
                "n": Decimal(dice.randrange(-50000, 50000)) / 100 if number % 6 else None,
                "m": Decimal(dice.randrange(-3, 9)),
                "b": dice.choice((True, False, None)),
                "d": moment.replace(tzinfo=None) if number % 7 else None,
                "f": moment - timedelta(hours=dice.randrange(900)) if number % 8 else None,
                "p": {
                    "type": "Point",
                    "coordinates": [dice.randrange(-9000, 9000) / 100, dice.randrange(-700, 700) / 10],
                }
                if number % 9
                else None,
            }
        )
    others = [
        {
            "id": f"o{number}",
            "u": ("Nord", "Süd", "Ost", None, "Nord")[number % 5],
            "k": Decimal(number * 5 - 8) / 4 if number % 4 else None,
            "s": TEXTS[number],
        }
        for number in range(9)
    ]
    return {
        name: Invented(f"Fuzz {name}", {f: TYPES[k] for f, k in SCHEMAS[name].items()}, "id", tuple(found))
        for name, found in (("main", rows), ("other", others))
    }


def evaluator() -> Evaluator:
    """The second evaluation of the same rows."""
    rows: dict[str, Rows] = {name: list(found.rows) for name, found in datasets().items()}
    return Evaluator(rows, {name: tuple(kinds) for name, kinds in SCHEMAS.items()}, STEMS)


def column(name: str, kind: str, quotes: bool = False) -> Node:
    """A reference to a column."""
    return Node("column", value=(name, quotes), kind=kind)


def number(value: str) -> Node:
    """A number literal."""
    return Node("number", value=value, kind="number")


def literal(value: str, kind: str = "text") -> Node:
    """A text literal, which may stand for a number or a date."""
    return Node("text", value=value, kind=kind)


DATES = ("2024-03-01", "2024-06-15T12:30:00", "2024-11-30T23:59:59.000", "2023-12-31")
SHAPES = (
    "POLYGON ((-30.005 -20.005, 40.005 -20.005, 40.005 50.005, -30.005 50.005, -30.005 -20.005))",
    "MULTIPOLYGON (((-80.005 -60.005, 10.005 -60.005, -20.005 60.005, -80.005 -60.005)))",
)
SIGNS = ("=", "!=", "<>", "<", "<=", ">", ">=", "==")


def _calls(kind: str) -> Callable[..., tuple[str, Callable[[], Node]]]:
    """Calls of this kind, whose arguments are made only for the one that is chosen."""

    def call(op: str, *args: Node | Callable[[], Node]) -> tuple[str, Callable[[], Node]]:
        return op, lambda: Node(op, tuple(arg if isinstance(arg, Node) else arg() for arg in args), kind=kind)

    return call


@dataclass
class Grammar:
    """Makes right questions; `missing` names what the portal does not answer."""

    dice: random.Random
    missing: frozenset[str] = frozenset()
    scope: dict[str, str] = field(default_factory=lambda: dict(KINDS))
    stage: str = ""
    """what the aliases of a later select in a chain begin with: none is the name of a column there"""

    def one(self, *makers: tuple[str, Callable[[], Node]]) -> Node:
        """One of several, of those that the portal answers."""
        able = [make for name, make in makers if name not in self.missing]
        return self.dice.choice(able)()

    def pick(self, *options: Any) -> Any:
        """One of several values."""
        return self.dice.choice(options)

    def column(self, *kinds: str) -> Node | None:
        """A column of one of these kinds in scope."""
        found = [name for name, kind in self.scope.items() if kind in kinds]
        if not found:
            return None
        name = self.dice.choice(found)
        return column(name, self.scope[name], quotes=not name.startswith("@") and self.dice.random() < 0.2)

    def any(self, depth: int) -> Node:
        """An expression of any kind but a point."""
        return self.pick(self.number, self.text, self.truth, self.date)(depth)

    # -- numbers

    def number(self, depth: int) -> Node:
        """A number."""
        if depth <= 0 or self.dice.random() < 0.2:
            found = self.column("number") if self.dice.random() < 0.7 else None
            return found or number(self.pick("0", "1", "2", "3", "2.5", "0.001", "10", "100", "1e2"))

        def n() -> Node:
            return self.number(depth - 1)

        call = _calls("number")

        return self.one(
            *[("+", lambda: self._arithmetic(depth))] * 6,
            ("^", lambda: Node("^", (n(), number(self.pick("2", "3", "0"))), kind="number")),
            call("neg", n),
            call("abs", n),
            call("ceil", n),
            call("floor", n),
            call("round", n),
            call("round", n, number(self.pick("0", "1", "2"))),
            call("ln", n),
            call(self.pick("greatest", "least"), n, n, *([n] if self.dice.random() < 0.3 else [])),
            call("width_bucket", n, number("0"), number("100"), number("5")),
            call("length", lambda: self.text(depth - 1)),
            call("coalesce", n, n),
            call("nullif", n, n),
            ("date_extract_y", lambda: Node(self._extract(), (self.date(depth - 1),), kind="number")),
            ("date_diff_d", lambda: Node("date_diff_d", (self.date(depth - 1), self.date(0)), kind="number")),
            ("case", lambda: self._case(depth, self.number, "number")),
            ("cast", lambda: Node("cast", (literal(self.pick("42", "-1.5")),), "number", "number")),
        )

    def _arithmetic(self, depth: int) -> Node:
        left, right = self.number(depth - 1), self.number(depth - 1)
        if self.dice.random() < 0.1:
            right = literal(self.pick("7", "0.5"), "number")
        return Node(self.pick("+", "-", "*", "+", "-", "*", "/", "%"), (left, right), kind="number")

    def _extract(self) -> str:
        return f"date_extract_{self.pick('y', 'm', 'd', 'hh', 'mm', 'ss', 'dow', 'woy')}"

    def _distance(self) -> list[tuple[Node, str]]:
        """Meters, to be shown as they are."""
        place = self.column("point")
        if place is None or "distance_in_meters" in self.missing or self.dice.random() > 0.1:
            return []
        return [(Node("distance_in_meters", (place, literal("POINT (10.5 47.25)")), kind="number"), f"{self.stage}far")]

    def _case(self, depth: int, maker: Callable[[int], Node], kind: str) -> Node:
        pairs = (self.truth(depth - 1), maker(depth - 1), self.truth(depth - 1), maker(depth - 1))
        way = self.pick("case", "case when", "iif", "case when else")
        if way == "iif":
            return Node("iif", (*pairs[:2], maker(depth - 1)), kind=kind)
        if way == "case when else":
            return Node("case when", (*pairs, maker(depth - 1)), kind=kind)
        return Node(way, pairs, kind=kind)

    # -- texts

    def text(self, depth: int) -> Node:
        """A text."""
        if depth <= 0 or self.dice.random() < 0.2:
            found = self.column("text") if self.dice.random() < 0.75 else None
            return found or literal(self.dice.choice(TEXTS))

        def t() -> Node:
            return self.text(depth - 1)

        call = _calls("text")

        sizes = [number(str(size)) for size in range(1, 9)]
        return self.one(
            call("lower", t),
            call("upper", t),
            call("trim", t),
            call("unaccent", t),
            call("||", t, t),
            call("||", t, self.column("number") or literal("1")) if "m" in self.scope else call("||", t, t),
            call("replace", t, literal(self.pick("o", "-", "Nord")), literal(self.pick("", "ö", "--"))),
            call("substring", t, self.pick(*sizes)),
            call("substring", t, self.pick(*sizes), self.pick(*sizes)),
            call("split_part", t, literal("-"), number(self.pick("1", "2", "3"))),
            call("left_pad", t, self.pick(*sizes), literal(self.pick("*", "ab"))),
            call("right_pad", t, self.pick(*sizes), literal(self.pick("*", "ab"))),
            call("coalesce", t, t),
            call("nullif", t, t),
            call(self.pick("greatest", "least"), t, t),
            ("case", lambda: self._case(depth, self.text, "text")),
            ("cast", lambda: Node("cast", (number(self.pick("1.50", "42")),), "text", "text")),
        )

    # -- dates

    def date(self, depth: int) -> Node:
        """A floating timestamp."""
        found = self.column("floating")
        if found is None:
            return Node("cast", (literal(self.dice.choice(DATES)),), "floating_timestamp", "floating")
        if depth <= 0 or self.dice.random() < 0.3:
            return found

        def d() -> Node:
            return self.date(depth - 1)

        call = _calls("floating")

        fixed = self.column("fixed")
        zone = literal(self.pick("UTC", "America/New_York", "Asia/Kolkata"))
        return self.one(
            call(f"date_trunc_{self.pick('y', 'ym', 'ymd')}", d),
            call("date_add", d, literal(self.pick("P1D", "PT36H", "P2DT3H4M5S"))),
            call("coalesce", found, literal(self.dice.choice(DATES), "floating")),
            call(self.pick("greatest", "least"), d, found),
            call("to_floating_timestamp", fixed, zone) if fixed else call("coalesce", found, found),
            ("case", lambda: self._case(depth, self.date, "floating")),
        )

    # -- truths

    def truth(self, depth: int) -> Node:
        """A checkbox."""
        if depth <= 0 or self.dice.random() < 0.1:
            found = self.column("checkbox") if self.dice.random() < 0.6 else None
            return found or Node("bool", value=self.pick(True, False), kind="checkbox")

        def d() -> Node:
            return self.date(depth - 1)

        def b() -> Node:
            return self.truth(depth - 1)

        call = _calls("checkbox")

        def t() -> Node:
            return self.text(depth - 1)

        def n() -> Node:
            return self.number(depth - 1)

        pattern = literal(self.pick("%o%", "N_rd", "S%", "%", "%d", "50\u0025 %", ""))
        options = self.dice.sample(TEXTS, 3)
        date = literal(self.dice.choice(DATES), "floating")
        return self.one(
            *[(self.pick(*SIGNS), lambda: Node(self.pick(*SIGNS), (n(), n()), kind="checkbox"))] * 3,
            call(self.pick(*SIGNS), t, t),
            call(self.pick(*SIGNS), d, date),
            call(self.pick("=", "!="), n, literal(self.pick("3", "2.5"), "number")),
            call(self.pick("and", "or"), b, b),
            call(self.pick("and", "or"), b, b),
            call("not", b),
            call(self.pick("is null", "is not null"), lambda: self.any(depth - 1)),
            call(self.pick("in", "not in"), t, *map(literal, options)),
            call(self.pick("in", "not in"), n, number("1"), number("2.5"), number("3")),
            call(self.pick("between", "not between"), n, n, n),
            call(self.pick("between", "not between"), t, literal("A"), literal("m")),
            call("between", d, literal("2024-02-01", "floating"), date),
            call("like", t, pattern),
            ("not like", call("not like", t, pattern)[1]),
            call("starts_with", t, literal(self.pick("N", "S", ""))),
            call("contains", t, literal(self.pick("o", "%", "'"))),
            call(self.pick("caseless_eq", "caseless_ne"), t, literal("NORD")),
            call("caseless_starts_with", t, literal("nO")),
            call("caseless_contains", t, literal("OR")),
            ("caseless_one_of", call("caseless_one_of", t, literal("NORD"), literal("süd"))[1]),
            ("case", lambda: self._case(depth, self.truth, "checkbox")),
            *self._places(),
        )

    def _places(self) -> list[tuple[str, Callable[[], Node]]]:
        place = self.column("point")
        if place is None:
            return []
        box = [number(value) for value in ("45.5", "-20.25", "-33.25", "60.75")]
        circle = [number(value) for value in ("10.5", "20.25", "4000000")]
        shape = literal(self.dice.choice(SHAPES))
        makers = (("within_box", box), ("within_circle", circle), ("within_polygon", [shape]), ("intersects", [shape]))
        return [(op, lambda op=op, args=args: Node(op, (place, *args), kind="checkbox")) for op, args in makers]  # type: ignore[misc]

    # -- aggregates and windows

    def total(self, depth: int = 1) -> Node:
        """An aggregate."""
        if self.dice.random() < 0.2:
            return Node("count(*)", (), self._filter(), "number")
        op = self.pick("count", "count distinct", "sum", "avg", "min", "max", "median", "stddev_pop", "stddev_samp")
        if "regr_slope" not in self.missing and self.dice.random() < 0.08:
            op = self.pick("regr_slope", "regr_intercept", "regr_r2")
            return Node(op, (self.number(0), self.number(0)), None, "number")
        if op in self.missing:
            op = "sum"
        if op in ("count", "min", "max") and self.dice.random() < 0.5:
            what = self.pick(self.text, self.date)(depth)
            return Node(op, (what,), self._filter(), "number" if op == "count" else what.kind)
        if op == "count distinct":
            return Node(op, (self.text(depth),), None, "number")
        return Node(op, (self.number(depth),), self._filter(), "number")

    def _filter(self) -> Node | None:
        return self.truth(1) if "filter" not in self.missing and self.dice.random() < 0.2 else None

    def window(self) -> Node:
        """A window function over the rows, ordered by their identifiers where the order matters."""
        by_name = (Order(column("id", "text"), down=self.dice.random() < 0.5),)
        parts = [part for part in (self.column("text"), self.column("checkbox")) if part]
        partition = (self.dice.choice(parts),) if parts and self.dice.random() < 0.6 else ()
        op = self.pick("row_number", "rank", "dense_rank", "ntile", "lead", "lag", "first_value", "last_value", "sum",
                       "avg", "count", "min", "max")  # fmt: skip
        order = by_name
        if op in ("rank", "dense_rank"):
            order = (Order(self.column("text") or by_name[0].node, down=self.dice.random() < 0.5),)
        if op in AGGREGATES and self.dice.random() < 0.6:
            order = ()
        plain = {"row_number": (), "rank": (), "dense_rank": (), "ntile": (number("4"),)}
        args = plain.get(op) if op in plain else (self.column("number") or number("1"),)
        return Node("over", (Node(op, args or (), kind="number"),), Window(partition, order), "number")

    # -- selects

    def order(self, *nodes: Node) -> tuple[Order, ...]:
        """Sorted by these."""
        return tuple(
            Order(node, self.dice.random() < 0.5, self.pick("", "", "", "FIRST", "LAST")) for node in nodes
        )  # fmt: skip

    def plain(self, depth: int = 2) -> Select:
        """A select without groups."""
        starred = self.dice.random() < 0.12
        makers = [self.number, self.number, self.text, self.truth, self.date]
        items = [(self.dice.choice(makers)(depth), f"{self.stage}c{n}") for n in range(self.dice.randint(1, 3))]
        distinct = not starred and self.dice.random() < 0.1
        if (
            not starred
            and not distinct
            and "over" not in self.missing
            and "id" in self.scope
            and self.dice.random() < 0.2
        ):
            items.append((self.window(), f"{self.stage}over"))
        if not distinct:
            items += self._distance()
        if not distinct and "id" in self.scope and self.dice.random() < 0.6:
            items.insert(0, (column("id", "text"), "id"))
        if distinct:
            items = [(self.pick(self.text, self.truth, self.date)(1), f"{self.stage}c0")]
        keys: list[Node] = []
        if self.dice.random() < 0.5:
            keys = (
                [column(f"{self.stage}c0", "text")]
                if distinct
                else [self.any(1) for _ in range(self.dice.randint(1, 2))]
            )
        if keys and not distinct and not starred and self.dice.random() < 0.3:
            keys[0] = column(items[0][1], items[0][0].kind)
        where = self.truth(depth) if self.dice.random() < 0.6 else None
        return Select(
            () if starred else tuple(items), distinct, where, order=self.order(*_ordering(keys)),
            limit=self.pick(None, None, 0, 1, 5, 20, 1000), offset=self.pick(0, 0, 0, 1, 7, 100),
        )  # fmt: skip

    def groups(self) -> Select:
        """A select with groups."""
        able = [self.column("text"), self.column("checkbox"), self.column("text")]
        dated = self.column("floating")
        if dated:
            able += [Node("date_trunc_ym", (dated,), kind="floating"), Node("date_extract_m", (dated,), kind="number")]
        worded = self.column("text")
        if worded:
            able += [Node("lower", (worded,), kind="text"), Node("length", (worded,), kind="number")]
        able = [node for node in dict.fromkeys(able) if node]
        keys = self.dice.sample(able, k=min(len(able), self.pick(0, 1, 1, 2, 2)))
        items = [(node, f"{self.stage}k{n}") for n, node in enumerate(keys) if self.dice.random() < 0.85]
        items += [(self.total(), f"{self.stage}a{n}") for n in range(self.dice.randint(1, 3))]
        having = None
        if self.dice.random() < 0.3:
            having = Node(
                self.pick(">", "<=", "!="), (self.total(0), number(self.pick("0", "2", "5"))), kind="checkbox"
            )
            if having.args[0].kind != "number":
                having = None
        order: tuple[Order, ...] = ()
        if self.dice.random() < 0.5:
            name, node = self.dice.choice([(alias, node) for node, alias in items])
            order = self.order(*_ordering([column(name, node.kind)]))
        return Select(
            tuple(items), where=self.truth(2) if self.dice.random() < 0.5 else None, group=tuple(keys),
            group_by_alias=self.dice.random() < 0.4, having=having, order=order,
            limit=self.pick(None, None, None, 1, 3), offset=self.pick(0, 0, 0, 1),
        )  # fmt: skip

    def joined(self) -> Select:
        """A select over a join."""
        query = None
        if self.dice.random() < 0.3:
            top = Node("max", (column("k", "number"),), kind="number")
            keys = (column("u", "text"),)
            query = Select(((column("u", "text"), "u"), (top, "k")), group=keys, source="other")
        way = self.pick("JOIN", "LEFT OUTER JOIN", "JOIN", "RIGHT OUTER JOIN", "FULL OUTER JOIN")
        join = Join(way, "other", "o", column("u", "text"), "u", query)
        outer = self.scope
        self.scope = outer | {f"@o.{name}": OTHER[name] for name in ("k", "u")}
        found = self.pick(self.plain, self.groups)()
        self.scope = outer
        if not found.items:
            found = replace(found, items=((column("id", "text"), "id"), (column("@o.k", "number"), "k")))
        items = tuple((node, alias) for node, alias in found.items if node.op != "over")
        items = items or ((column("id", "text"), "id"),)
        order = tuple(key for key in found.order if _stays(key.node, items))
        return replace(found, joins=(join,), items=items, order=order)

    def united(self) -> Select:
        """A union of two."""
        items = ((column("u", "text"), "u"), (self.pick(column("m", "number"), column("n", "number")), "x"))
        right = Select(((column("u", "text"), "u"), (column("k", "number"), "k")), source="other")
        way = self.pick(
            *[way for way in ("UNION", "UNION ALL", "INTERSECT", "MINUS") if way.lower() not in self.missing]
        )
        where = self.truth(1) if self.dice.random() < 0.5 else None
        return Select(items, where=where, unions=((way, right),))

    def question(self) -> Question:
        """A whole question."""
        kind = self.dice.random()
        if kind < 0.08 and "join" not in self.missing:
            return Question((self.joined(),))
        if kind < 0.13 and "union" not in self.missing:
            return Question((self.united(), Select((), order=self.order(column("u", "text")))))
        first = self.plain() if self.dice.random() < 0.6 else self.groups()
        if kind < 0.27 and "|>" not in self.missing:
            return Question(self._chained(first))
        if kind < 0.31 and "search" not in self.missing and not first.group:
            return Question((replace(first, search=self.pick("stealing", "bicycles", "north", "CRIMINALS bicycle")),))
        form = self.pick("query", "split", "split")
        filters = tuple(
            self.dice.sample([("u", "Nord"), ("m", "3"), ("b", "true"), ("t", "Süd")], k=self.pick(0, 0, 0, 1, 2))
        )
        words = self.pick("", "", "", "", "steal", "north") if "$q" not in self.missing else ""
        if "soda3" not in self.missing and not filters and not words and self.dice.random() < 0.1:
            form = "soda3"
        return Question((first,), filters, words, form)

    def _chained(self, first: Select) -> tuple[Select, ...]:
        if first.order and "id" in {alias for _, alias in first.items} and self.dice.random() < 0.3:
            first = replace(first, order=(Order(column("id", "text")),))
        else:
            first = replace(first, limit=None, offset=0)
        outer = self.scope
        if first.items:
            first = replace(first, items=tuple(item for item in first.items if item[0].op != "distance_in_meters"))
            self.scope = {alias: node.kind for node, alias in first.items}
        self.stage = "z"
        second = self.plain(1) if self.dice.random() < 0.6 else self.groups()
        self.scope, self.stage = outer, ""
        return first, second


def _ordering(keys: list[Node]) -> list[Node]:
    """A constant orders nothing and needs no key here."""
    return [key for key in keys if not _constant(key)]


def _constant(node: Node) -> bool:
    return node.op != "column" and all(map(_constant, node.args))


def _stays(node: Node, items: tuple[tuple[Node, str], ...]) -> bool:
    if node.op != "column" or node.value[0] in (*KINDS, "@o.k", "@o.u"):
        return True
    return any(alias == node.value[0] for _, alias in items)


# -- wrong questions

HOSTILE = (
    "SELECT * FROM duckdb_settings()", "SELECT * FROM read_csv('/etc/passwd')", "SELECT read_text('/etc/passwd')",
    "SELECT id; DROP TABLE rows", "SELECT id -- comment", "SELECT /* */ id", "PRAGMA database_list",
    "COPY rows TO '/tmp/x'", "ATTACH 'x.db'", "INSTALL httpfs", "LOAD spatial", "SET memory_limit='1TB'",
    "SELECT * FROM information_schema.tables", "SELECT getenv('HOME')", "SELECT current_setting('threads')",
    "SELECT `:place`", "SELECT rows.id", "SELECT * FROM rows", "SELECT (SELECT 1)", "SELECT id LIMIT -1", "SELECT $v0",
    "SELECT * FROM glob('/*')", "SELECT 1e400", "SELECT 99999999999999999999999999999999999999999 + 1",
    "SELECT '\\'; --'", "SELECT \"", "SELECT '", "SELECT `", "SELECT /*", "SELECT id |>", "|> SELECT 1", "SELECT ,",
    "SELECT date_add(d, 'P99999999999D')", "SELECT left_pad(t, 999999999, 'x')", "SELECT substring(t, 1e30)",
    "SELECT round(n, 99999)", "SELECT width_bucket(n, 1, 1, 0)", "SELECT 0 ^ -1", "SELECT (0-8) ^ 0.5",
    "SELECT within_polygon(p, 'POLYGON((')", "SELECT distance_in_meters(p, 'POINT (nan 1)')",
    "SELECT intersects(p, 'POLYGON((0 0, 1 1, 0 1, 1 0, 0 0))')", "SELECT to_floating_timestamp(f, '../../etc')",
    "SELECT t WHERE t LIKE '%%%%%%%%%%%%%%%%%%%%a%b%c%d%e%f'", "SELECT max(n) over (order by id rows 1 preceding)",
    "SELECT ntile(0) over (order by id)", "SELECT id JOIN @zzzz-zzzz AS z ON true",
    "SELECT '2024-13-45'::floating_timestamp",
    "SELECT 'x'::number", "SELECT d + 'P1Y'", "SELECT simplify(p, 1e308)", "SELECT split_part(t, '', 0)",
    "SELECT id UNION SELECT 1", "SELECT id SEARCH 'x' SEARCH 'y'", "SELECT case end",
    "SELECT t is not", "SELECT ::text",
)  # fmt: skip
PIECES = (
    "'", '"', "`", ";", "--", "/*", "*/", "\x00", "\ufeff", "𝒳", "(", ")", ",", "|>", "::", "@", "$", "%", "\\", "\n",
    " over (", " union select ", "select", " where ", " and ", "null", "()", "((((((", " case ", " end ", "read_csv(",
)  # fmt: skip


def spoiled(dice: random.Random, sound: dict[str, str]) -> dict[str, str]:
    """A right question made wrong: cut, mistyped, doubled, or with something hostile put in."""
    found = dict(sound)
    name = dice.choice(list(found))
    text = found[name]
    place = dice.randrange(len(text) + 1)
    ways: list[Callable[[], str]] = [
        lambda: text[:place],
        lambda: text[:place] + dice.choice(PIECES) + text[place:],
        lambda: text[:place] + text[place + 1 :],
        lambda: " ".join(dice.sample(text.split(" "), k=len(text.split(" ")))),
        lambda: text.replace("(", "((", 1),
        lambda: text.replace("n", "nope").replace("t", "1"),
        lambda: text + " " + dice.choice(PIECES),
        lambda: f"{text} {text}",
    ]
    found[name] = dice.choice(ways)()
    return found


def hostile(dice: random.Random) -> dict[str, str]:
    """Something that was never a question."""
    made: list[Callable[[], dict[str, str]]] = [
        lambda: {"$query": dice.choice(HOSTILE)},
        lambda: {dice.choice(("$where", "$select", "$order", "$group", "$having")): dice.choice(HOSTILE)},
        lambda: {dice.choice(("$limit", "$offset")): dice.choice(("-1", "1e3", "x", "9" * 30, "٣", "1;", " 5 ", ""))},
        lambda: {"$q": "".join(dice.choice(PIECES) for _ in range(9))},
        lambda: {"$query": "SELECT " + "(" * dice.choice((10, 200)) + "1"},
        lambda: {"$query": "SELECT " + "not " * 2000 + "b"},
        lambda: {"$query": "SELECT " + " + ".join(["n"] * dice.choice((50, 300, 900)))},
        lambda: {"$where": "t = '" + "x" * dice.choice((100, 7000)) + "'"},
        lambda: {"$query": "".join(chr(dice.randrange(1, 0xD7FF)) for _ in range(20))},
        lambda: {dice.choice(("nope", ":id", "$nope", "$$nope", "", "t;", "p", "f")): dice.choice(TEXTS)},
        lambda: {"$select": "*", "$query": "select *"},
        lambda: {"$query": " |> ".join(["select *"] * dice.choice((3, 60)))},
    ]
    return dice.choice(made)()


def sound(grammar: Grammar, names: dict[str, str]) -> Question:
    """A right question with the datasets' own 4x4."""
    return replace(grammar.question(), names=names)
