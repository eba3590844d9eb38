"""Names for selected expressions without an alias, such as sum_requests, by Socrata's own rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BETWEEN = {exp.And: "and", exp.Or: "or"}


def implied(node: exp.Expr) -> str:
    """Name an expression: a column keeps its name, any other expression is named by its words."""
    if isinstance(node, exp.Column):
        return str(node.name).lower()
    words = re.sub(r"[\W_]+", "_", " ".join(_words(node)).lower()).strip("_")
    return words if words and not words[0].isdigit() else f"_{words}"


def free(name: str, taken: Iterable[str]) -> str:
    """The name, or the first of name_1, name_2, … that is free."""
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _words(node: exp.Expr) -> Iterator[str]:
    """The words of an expression in the order they are written; works for trees that are deep on the left."""
    waiting: list[exp.Expr | str] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        else:
            waiting.extend(reversed(_pieces(part)))


def _pieces(node: exp.Expr, negated: str = "") -> list[exp.Expr | str]:  # noqa: C901, PLR0911, PLR0912 -- a table
    match node:
        case exp.Column() | exp.Literal() | exp.Identifier() | exp.Var():
            return [str(node.name)]
        case exp.Boolean():
            return [str(node.this)]
        case exp.Null():
            return ["null"]
        case exp.Not(this=exp.Is() | exp.Between() | exp.Like() | exp.In()):
            return _pieces(node.this, "not")
        case exp.Not():
            return ["not", node.this]
        case exp.Is():
            return [node.this, "is", negated, node.expression]
        case exp.Between():
            return [node.this, negated, "between", node.args["low"], "and", node.args["high"]]
        case exp.Like() | exp.In():
            listed = node.meta.get("values", (node.expressions,))[0]
            values = [node.expression] if isinstance(node, exp.Like) else listed
            return [negated, node.key, node.this, *values]
        case exp.And() | exp.Or():
            return [node.this, _BETWEEN[type(node)], node.expression]
        case exp.Case():
            branches = [part for each in node.args["ifs"] for part in ("when", each.this, "then", each.args["true"])]
            default = node.args.get("default")
            return ["case", *branches, *(["else", default] if default is not None else []), "end"]
        case exp.Anonymous():
            distinct = node.expressions and isinstance(node.expressions[0], exp.Distinct)
            return [f"{node.this}_distinct" if distinct else str(node.this), *node.expressions]
        case exp.Filter():
            return [node.this]
        case exp.Window():
            return [node.this, "over", *_partition(node), *_ordering(node)]
        case _:
            return list(node.iter_expressions())


def _partition(node: exp.Window) -> list[exp.Expr | str]:
    parts = node.args.get("partition_by")
    return ["partition by", *parts] if parts else []


def _ordering(node: exp.Window) -> list[exp.Expr | str]:
    order = node.args["order"].expressions
    return ["order by", *(part.this for part in order)] if order else []
