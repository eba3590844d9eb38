"""Translate OData's `$filter`, `$orderby`, and `$select` to SoQL; unknown nodes of the parsed tree are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from publisher.portal.base.problems import problem
from publisher.portal.base.sql import literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.base.model import PortalDataset
from publisher.portal.base.problems import SodaError

KEY = "__id"
"""The name of a row's `:id` in OData, as in Socrata."""
LONGEST = 8000
"""The most characters in a filter."""
_WORD = re.compile(r"'(?:[^']|'')*'|(?<![\w.-])[A-Za-z_]\w*(?!\w|\s*\()")
_OUR = re.compile(r"c_\d+_c")
_SIGNS = {ast.Eq: "=", ast.NotEq: "<>", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}
_CALLS: dict[str, tuple[int, str]] = {
    "contains": (2, "contains({0}, {1})"),
    "startswith": (2, "starts_with({0}, {1})"),
    "tolower": (1, "lower({0})"),
    "toupper": (1, "upper({0})"),
    "trim": (1, "trim({0})"),
    "length": (1, "length({0})"),
    "concat": (2, "({0} || {1})"),
    "year": (1, "date_extract_y({0})"),
    "month": (1, "date_extract_m({0})"),
    "day": (1, "date_extract_d({0})"),
    "hour": (1, "date_extract_hh({0})"),
    "minute": (1, "date_extract_mm({0})"),
    "second": (1, "date_extract_ss({0})"),
    "date": (1, "date_trunc_ymd({0})"),
    "floor": (1, "floor({0})"),
    "ceiling": (1, "ceil({0})"),
}
"""The OData functions that SoQL also has."""


def refused(what: str) -> SodaError:
    """501: a part of OData that the portal does not support."""
    return problem(501, "NotImplemented", f"{what} is not supported")


def unreadable(what: str) -> SodaError:
    """400: the option is not valid OData."""
    return problem(400, "BadRequest", what)


def filtered(dataset: PortalDataset, text: str) -> str:
    """Translate a `$filter` to a SoQL condition. Raises SodaError 400 or 501."""
    if len(text) > LONGEST:
        raise unreadable(f"$filter is longer than {LONGEST} characters")
    names = [KEY, *(column.field for column in dataset.columns)]
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(_aliased(names, text)))
        return _Filter(names).text(tree)
    except (exceptions.ODataException, ValueError, TypeError, AttributeError):
        raise unreadable("Cannot parse $filter") from None
    except RecursionError:
        raise unreadable("$filter is nested too deeply") from None


def _aliased(names: list[str], text: str) -> str:
    """Rename columns so that no name starts with a word of the library's grammar (`any`, `all`, `null`, …)."""

    def alias(found: re.Match[str]) -> str:
        word = found[0]
        if _OUR.fullmatch(word):
            raise unreadable(f"No such property: {word}")
        return f"c_{names.index(word)}_c" if word in names else word

    return _WORD.sub(alias, text)


def column_of(dataset: PortalDataset, name: str) -> str:
    """The SoQL name of a property. Raises SodaError 400."""
    if name == KEY:
        return ":id"
    if dataset.column(name) is None:
        raise unreadable(f"No such property: {name[:100]}")
    return f"`{name}`"


def ordered(dataset: PortalDataset, text: str) -> str:
    """Translate an `$orderby` to SoQL; in OData, nulls come before all values."""
    terms = []
    for part in text.split(","):
        words = part.split()
        if not words or words[1:] not in ([], ["asc"], ["desc"]):
            raise unreadable("$orderby needs property names, each followed by asc or desc if you like")
        ending = "DESC NULLS LAST" if words[1:] == ["desc"] else "ASC NULLS FIRST"
        terms.append(f"{column_of(dataset, words[0])} {ending}")
    return ", ".join(terms)


def selected(dataset: PortalDataset, text: str) -> list[str]:
    """The properties in a `$select`, without repeats; `*` is all of them."""
    names = [name.strip() for name in text.split(",")]
    everything = [KEY, *(column.field for column in dataset.columns)]
    listed = [name for each in names for name in (everything if each == "*" else [each])]
    for name in listed:
        column_of(dataset, name)
    return list(dict.fromkeys(listed))


class _Filter:
    def __init__(self, names: list[str]) -> None:
        self.names = names

    def text(self, node: Any) -> str:
        """The SoQL of a node."""
        write = _NODES.get(type(node))
        if write is None:
            raise refused(f"{type(node).__name__} in $filter")
        return write(self, node)

    def _identifier(self, node: ast.Identifier) -> str:
        if node.namespace or not _OUR.fullmatch(node.name):
            raise unreadable(f"No such property: {node.name[:100]}")
        name = self.names[int(node.name.split("_")[1])]
        return ":id" if name == KEY else f"`{name}`"

    def _number(self, node: ast.Integer | ast.Float) -> str:
        return f"({node.val})" if node.val.startswith(("-", "+")) else node.val

    def _string(self, node: ast.String) -> str:
        return literal(node.val)

    def _boolean(self, node: ast.Boolean) -> str:
        return node.val.lower()

    def _time(self, node: ast.Date | ast.DateTime) -> str:
        return f"'{node.py_val.isoformat()}'"

    def _compare(self, node: ast.Compare) -> str:
        left, right = node.left, node.right
        if isinstance(node.comparator, ast.In):
            if not isinstance(right, ast.List) or not right.val:
                raise unreadable("in needs a list of values")
            return f"({self.text(left)} IN ({', '.join(self.text(item) for item in right.val)}))"
        if isinstance(left, ast.Null):
            left, right = right, left
        if isinstance(right, ast.Null):
            return self._null(node, left)
        if isinstance(node.comparator, ast.NotEq):
            return self._different(left, right)
        return f"({self.text(left)} {_SIGNS[type(node.comparator)]} {self.text(right)})"

    def _null(self, node: ast.Compare, left: Any) -> str:
        words = {ast.Eq: "IS NULL", ast.NotEq: "IS NOT NULL"}.get(type(node.comparator))
        return f"({self.text(left)} {words})" if words else "(1 = 0)"

    def _different(self, left: Any, right: Any) -> str:
        """In OData, null is not equal to any value."""
        sides = self.text(left), self.text(right)
        nullable = [side for side, node in zip(sides, (left, right), strict=True) if not isinstance(node, ast._Literal)]
        return f"({' OR '.join([f'{sides[0]} <> {sides[1]}', *(f'{side} IS NULL' for side in nullable[:1])])})"

    def _logic(self, node: ast.BoolOp) -> str:
        """A chain of the same operator is one level, however long it is."""
        word = "AND" if isinstance(node.op, ast.And) else "OR"
        parts: list[str] = []
        rest: Any = node
        while isinstance(rest, ast.BoolOp) and type(rest.op) is type(node.op):
            parts.append(self.text(rest.right))
            rest = rest.left
        return f"({f' {word} '.join([self.text(rest), *reversed(parts)])})"

    def _unary(self, node: ast.UnaryOp) -> str:
        return f"({'NOT' if isinstance(node.op, ast.Not) else '-'} {self.text(node.operand)})"

    def _arithmetic(self, node: ast.BinOp) -> str:
        return f"({self.text(node.left)} {_ARITHMETIC[type(node.op)]} {self.text(node.right)})"

    def _call(self, node: ast.Call) -> str:
        name = ".".join((*node.func.namespace, node.func.name)).lower()
        if name == "endswith" and len(node.args) == 2:
            return self._ends(*node.args)
        takes, template = _CALLS.get(name, (0, ""))
        if not template:
            raise refused(f"{name[:50]} in $filter")
        if len(node.args) != takes:
            raise unreadable(f"{name} takes {takes} arguments")
        return template.format(*(self.text(part) for part in node.args))

    def _ends(self, whole: Any, end: Any) -> str:
        """Use LIKE; the text must not contain its wildcards."""
        if not isinstance(end, ast.String) or re.search(r"[%_\\]", end.val):
            raise refused("endswith with anything but a text without %, _, and \\")
        return f"({self.text(whole)} LIKE {self._string(ast.String('%' + end.val))})"


_NODES: dict[type, Callable[[_Filter, Any], str]] = {
    ast.Identifier: _Filter._identifier,
    ast.Integer: _Filter._number,
    ast.Float: _Filter._number,
    ast.String: _Filter._string,
    ast.Boolean: _Filter._boolean,
    ast.Date: _Filter._time,
    ast.DateTime: _Filter._time,
    ast.Compare: _Filter._compare,
    ast.BoolOp: _Filter._logic,
    ast.UnaryOp: _Filter._unary,
    ast.BinOp: _Filter._arithmetic,
    ast.Call: _Filter._call,
}
