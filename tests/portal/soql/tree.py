"""SoQL as a small tree of our own, and its text: what the generator builds and the evaluator evaluates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Kind = str
"""number, text, checkbox, floating, fixed or point"""


@dataclass(frozen=True)
class Node:
    """An expression: an operation over others, or a leaf with a value."""

    op: str
    args: tuple[Node, ...] = ()
    value: Any = None
    """of a leaf; of an aggregate its FILTER; of a window its Window"""
    kind: Kind = ""


@dataclass(frozen=True)
class Window:
    """OVER (PARTITION BY … ORDER BY …)."""

    partition: tuple[Node, ...] = ()
    order: tuple[Order, ...] = ()


@dataclass(frozen=True)
class Order:
    """One key of an ORDER BY."""

    node: Node
    down: bool = False
    nulls: str = ""
    """FIRST, LAST or nothing"""


@dataclass(frozen=True)
class Join:
    """JOIN @dataset AS alias ON left = @alias.right; `query` in the place of the whole dataset."""

    way: str
    dataset: str
    alias: str
    left: Node
    right: str
    query: Select | None = None


@dataclass(frozen=True)
class Select:
    """One SELECT with its clauses."""

    items: tuple[tuple[Node, str], ...]
    """expressions with their aliases; empty for `*`"""
    distinct: bool = False
    where: Node | None = None
    group: tuple[Node, ...] = ()
    group_by_alias: bool = False
    having: Node | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    search: str = ""
    joins: tuple[Join, ...] = ()
    source: str = ""
    """another dataset to select from, in unions and joins"""
    unions: tuple[tuple[str, Select], ...] = ()
    """(UNION | UNION ALL | INTERSECT | MINUS, SELECT) after this one"""


@dataclass(frozen=True)
class Question:
    """What one request asks: a chain of selects, and bare filters and words beside it."""

    chain: tuple[Select, ...]
    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    form: str = "query"
    """query, split or soda3"""
    names: dict[str, str] = field(default_factory=dict, hash=False, compare=False)
    """the 4x4 of each dataset"""


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


INFIX = {
    "or": 1, "and": 2, "=": 5, "!=": 5, "<>": 5, "<": 5, "<=": 5, ">": 5, ">=": 5, "==": 5,
    "+": 6, "-": 6, "||": 6, "*": 7, "/": 7, "%": 7, "^": 8,
}  # fmt: skip


def text(node: Node) -> str:
    """The SoQL of an expression; more parentheses than needed, never fewer."""
    special = _SPECIAL.get(node.op)
    if special:
        return special(node)
    parts = [text(arg) for arg in node.args]
    if node.op in INFIX:
        return f"{_wrapped(node.args[0])} {node.op} {_wrapped(node.args[1])}"
    call = f"{node.op}({', '.join(parts)})"
    if isinstance(node.value, Node):
        call += f" filter (where {text(node.value)})"
    return call


def _wrapped(node: Node) -> str:
    plain = node.op in ("column", "number", "text", "bool", "null", "case()") or node.op not in (
        *INFIX, "not", "neg", "is null", "is not null", "in", "not in", "between", "not between", "like", "not like",
        "case when", "cast",
    )  # fmt: skip
    return text(node) if plain else f"({text(node)})"


def _column(node: Node) -> str:
    name, quotes = node.value
    return f"`{name}`" if quotes else str(name)


def _listed(node: Node) -> str:
    first, *rest = node.args
    return f"{_wrapped(first)} {node.op} ({', '.join(text(arg) for arg in rest)})"


def _between(node: Node) -> str:
    value, low, high = map(_wrapped, node.args)
    return f"{value} {node.op} {low} and {high}"


def _pairs(node: Node) -> str:
    branches = [f"when {text(c)} then {text(v)}" for c, v in zip(node.args[:-1:2], node.args[1::2], strict=False)]
    rest = f" else {text(node.args[-1])}" if len(node.args) % 2 else ""
    return f"case {' '.join(branches)}{rest} end"


def _over(node: Node) -> str:
    window: Window = node.value
    parts = []
    if window.partition:
        parts.append("partition by " + ", ".join(map(text, window.partition)))
    if window.order:
        parts.append("order by " + ", ".join(map(ordered, window.order)))
    return f"{text(node.args[0])} over ({' '.join(parts)})"


_SPECIAL: dict[str, Any] = {
    "column": _column,
    "number": lambda node: str(node.value),
    "text": lambda node: quoted(node.value),
    "bool": lambda node: "true" if node.value else "false",
    "null": lambda _: "null",
    "neg": lambda node: f"-{_wrapped(node.args[0])}",
    "not": lambda node: f"not {_wrapped(node.args[0])}",
    "is null": lambda node: f"{_wrapped(node.args[0])} is null",
    "is not null": lambda node: f"{_wrapped(node.args[0])} is not null",
    "in": _listed,
    "not in": _listed,
    "between": _between,
    "not between": _between,
    "like": lambda node: f"{_wrapped(node.args[0])} like {_wrapped(node.args[1])}",
    "not like": lambda node: f"{_wrapped(node.args[0])} not like {_wrapped(node.args[1])}",
    "case when": _pairs,
    "cast": lambda node: f"{_wrapped(node.args[0])}::{node.value}",
    "count(*)": lambda node: "count(*)" + (f" filter (where {text(node.value)})" if node.value else ""),
    "count distinct": lambda node: f"count(distinct {text(node.args[0])})",
    "over": _over,
}


def ordered(order: Order) -> str:
    """One key of an ORDER BY as text."""
    nulls = f" nulls {order.nulls.lower()}" if order.nulls else ""
    return text(order.node) + (" desc" if order.down else "") + nulls


def _shown(node: Node, alias: str) -> str:
    return text(node) + ("" if node.op == "column" and node.value[0] == alias else f" as {alias}")


def clauses(select: Select) -> dict[str, str]:
    """The clauses of one select by the name of their parameter."""
    listed = ", ".join(_shown(node, alias) for node, alias in select.items) or "*"
    found = {"$select": ("distinct " if select.distinct else "") + listed}
    aliases = dict(select.items) if select.group_by_alias else {}
    groups = [aliases.get(node, text(node)) for node in select.group]
    parts = {
        "$where": text(select.where) if select.where else "",
        "$group": ", ".join(groups),
        "$having": text(select.having) if select.having else "",
        "$order": ", ".join(map(ordered, select.order)),
        "$limit": "" if select.limit is None else str(select.limit),
        "$offset": str(select.offset) if select.offset else "",
    }
    return found | {name: part for name, part in parts.items() if part}


WORDS = {
    "$where": "WHERE", "$group": "GROUP BY", "$having": "HAVING", "$order": "ORDER BY", "$limit": "LIMIT",
    "$offset": "OFFSET",
}  # fmt: skip


PAGE = ("$limit", "$offset")


def statement(select: Select, names: dict[str, str]) -> str:
    """One select as SoQL."""
    found = clauses(select)
    parts = ["SELECT", found.pop("$select")]
    if select.source:
        parts.append(f"FROM @{names[select.source]}")
    parts += [_joined(join, names) for join in select.joins]
    parts += [f"{WORDS[name]} {clause}" for name, clause in found.items() if name not in PAGE]
    if select.search:
        parts.append(f"SEARCH {quoted(select.search)}")
    parts += [f"{WORDS[name]} {clause}" for name, clause in found.items() if name in PAGE]
    whole = " ".join(parts)
    for way, other in select.unions:
        whole += f" {way} {statement(other, names)}"
    return whole


def _joined(join: Join, names: dict[str, str]) -> str:
    of = f"({statement(join.query, names)})" if join.query else f"@{names[join.dataset]}"
    return f"{join.way} {of} AS {join.alias} ON {text(join.left)} = @{join.alias}.{join.right}"


def parameters(question: Question) -> dict[str, str]:
    """The request's parameters."""
    found = dict(question.filters)
    if question.words:
        found["$q"] = question.words
    if question.form == "split":
        return found | clauses(question.chain[0])
    whole = " |> ".join(statement(select, question.names) for select in question.chain)
    return found | {"$query": whole}
