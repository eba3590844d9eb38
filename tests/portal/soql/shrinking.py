"""Smaller questions than one that is answered wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from soql.tree import Node, Question, Select

if TYPE_CHECKING:
    from collections.abc import Iterator


def smaller(question: Question) -> Iterator[Question]:
    """Each with one part taken away."""
    if question.form != "query":
        yield replace(question, form="query")
    if len(question.chain) > 1:
        yield replace(question, chain=question.chain[:1])
        yield replace(question, chain=question.chain[:-1])
    for number in range(len(question.filters)):
        yield replace(question, filters=question.filters[:number] + question.filters[number + 1 :])
    if question.words:
        yield replace(question, words="")
    for number, select in enumerate(question.chain):
        for less in _selects(select, len(question.chain) == 1):
            yield replace(question, chain=(*question.chain[:number], less, *question.chain[number + 1 :]))


def _selects(select: Select, alone: bool) -> Iterator[Select]:
    nothing = {"where": None, "having": None, "limit": None, "order": (), "offset": 0, "distinct": False, "search": ""}
    for name, empty in nothing.items():
        if getattr(select, name) != empty:
            yield replace(select, **{name: empty})
    if len(select.order) > 1:
        yield replace(select, order=select.order[1:])
    if len(select.items) > 1 and alone and not select.unions:
        for number in range(len(select.items)):
            yield replace(select, items=select.items[:number] + select.items[number + 1 :])
    yield from _expressions(select)


def _expressions(select: Select) -> Iterator[Select]:
    for number, (node, alias) in enumerate(select.items):
        for less in _nodes(node) if node not in select.group else ():
            yield replace(select, items=(*select.items[:number], (less, alias), *select.items[number + 1 :]))
    for less in _nodes(select.where) if select.where is not None else ():
        yield replace(select, where=less)
    for number, key in enumerate(select.order):
        for less in _nodes(key.node):
            changed = replace(key, node=less)
            yield replace(select, order=(*select.order[:number], changed, *select.order[number + 1 :]))


def _nodes(node: Node) -> Iterator[Node]:
    """Parts of the same kind, and the node with smaller parts."""
    if node.op in ("over", "column"):
        return
    if isinstance(node.value, Node):
        yield replace(node, value=None)
    for arg in node.args:
        if arg.kind == node.kind and arg.op != "text":
            yield arg
    for number, arg in enumerate(node.args):
        for less in _nodes(arg):
            yield replace(node, args=(*node.args[:number], less, *node.args[number + 1 :]))
