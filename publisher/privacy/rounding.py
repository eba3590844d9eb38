"""Whole numbers for finest cells such that every sum in two chains of tables is its real value rounded down or up.

Cells and sums are the arcs of a network: from a block's total down one chain of tables, through the finest cells, and
up the other. Such a network always has a whole flow between the real one rounded down and up. It is reached by pushing
flow around circles of arcs that are not yet whole, each time until one of them is; there are no more circles than arcs.
All of it is done with integers, in small parts of one, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.privacy.nesting import Nesting
    from publisher.stages import Floats, Integers

PULL = 4.0
"""How much more than a finer one a coarser sum counts when it is decided which way flow is pushed."""


@dataclass
class Network:
    """Arcs with their flows, in parts of which `unit` make one; `costs` are of raising a flow by one part."""

    tails: list[int]
    heads: list[int]
    flows: list[int]
    costs: list[float]
    unit: int
    arcs: list[list[int]]
    """The arcs at each node that are not whole."""
    others: list[list[int]]
    """The sums of tables in neither chain that each arc is part of, numbered over all of them."""
    gaps: list[int]
    """By how many parts each of those is above its real value; no more can be done for them than to mind the way."""

    def settle(self) -> None:
        """Make every flow whole."""
        for node in range(len(self.arcs)):
            while self._open(node, -1) is not None:
                self._walk(node)

    def _walk(self, start: int) -> None:
        """Follow arcs that are not whole, from node to node, and push along every circle, until the start has none.

        Flow is conserved, so where one arc is not whole another one is not.
        """
        path, places = [(start, -1)], {start: 0}
        while path:
            node, came = path[-1]
            arc = self._open(node, came)
            if arc is None:
                path.pop()
                del places[node]
                continue
            other = self.heads[arc] if self.tails[arc] == node else self.tails[arc]
            if other not in places:
                places[other] = len(path)
                path.append((other, arc))
                continue
            first = places[other]
            circle = [step for _, step in path[first + 1 :]]
            self._push(other, [*circle, arc])
            for gone, _ in path[first + 1 :]:
                del places[gone]
            del path[first + 1 :]

    def _open(self, node: int, came: int) -> int | None:
        """An arc at the node that is not whole, other than the one it was reached by."""
        arcs = self.arcs[node]
        for place in range(len(arcs) - 1, -1, -1):
            arc = arcs[place]
            if self.flows[arc] % self.unit == 0:
                arcs[place] = arcs[-1]
                arcs.pop()
            elif arc != came:
                return arc
        return None

    def _push(self, node: int, circle: Sequence[int]) -> None:
        """Push around the circle that leaves the node by its first arc, the cheaper way, until an arc is whole."""
        ahead = []
        for arc in circle:
            ahead.append(self.tails[arc] == node)
            node = self.heads[arc] if ahead[-1] else self.tails[arc]
        ways = [
            [(arc, 1 if up else -1) for arc, up in zip(circle, each, strict=True)] for each in (ahead, _back(ahead))
        ]
        way, part = min(((way, self._room(way)) for way in ways), key=lambda each: self._price(*each))
        for arc, sign in way:
            self.flows[arc] += sign * part
            for each in self.others[arc]:
                self.gaps[each] += sign * part

    def _room(self, way: Sequence[tuple[int, int]]) -> int:
        """How many parts can be pushed until an arc is whole."""
        return min((-sign * self.flows[arc]) % self.unit for arc, sign in way)

    def _price(self, way: Sequence[tuple[int, int]], part: int) -> float:
        """What it costs to push so many parts."""
        moved: dict[int, int] = {}
        for arc, sign in way:
            for each in self.others[arc]:
                moved[each] = moved.get(each, 0) + sign * part
        squares = sum((self.gaps[each] + by) ** 2 - self.gaps[each] ** 2 for each, by in moved.items())
        return part * sum(sign * self.costs[arc] for arc, sign in way) / self.unit + PULL * squares / self.unit**2


def _back(ahead: Sequence[bool]) -> list[bool]:
    return [not up for up in ahead]


def rounded(nesting: Nesting, parts: Integers, unit: int) -> Integers:
    """The finest cells as whole numbers; `parts` are the real ones, as counts of parts of which `unit` make one."""
    import numpy as np

    chains, left = nesting.chains()
    tails, heads, flows, costs = [], [], [], []
    # Nodes: a total's two ends, then the cells of both chains.
    nodes = 2 * nesting.sizes[0]
    ends: list[Integers] = []
    for side, chain in enumerate(chains):
        above = np.arange(nesting.sizes[0]) + side * nesting.sizes[0]
        for depth, table in enumerate(chain[1:], start=1):
            here = np.arange(nesting.sizes[table]) + nodes
            nodes += nesting.sizes[table]
            held = above[nesting.above(chain[depth - 1], table)]
            flow = _added(nesting.cells[table], parts, nesting.sizes[table])
            tails.append(here if side else held)
            heads.append(held if side else here)
            flows.append(flow)
            costs.append(PULL ** (len(chain) - depth) * _cost(flow, unit))
            above = here
        ends.append(above[nesting.cells[chain[-1]]])
    totals = _added(nesting.cells[0], parts, nesting.sizes[0])
    tails += [ends[0], np.arange(nesting.sizes[0]) + nesting.sizes[0]]
    heads += [ends[1], np.arange(nesting.sizes[0])]
    flows += [parts, totals]
    costs += [_cost(parts, unit), PULL ** max(map(len, chains)) * _cost(totals, unit)]
    ways = np.concatenate(tails), np.concatenate(heads), np.concatenate(flows)
    start = sum(each.size for each in flows[:-2])
    network = _network(*ways, np.concatenate(costs), unit, nodes)
    for table in left:
        for arc, cell in enumerate(nesting.cells[table].tolist(), start=start):
            network.others[arc].append(len(network.gaps) + cell)
        network.gaps += [0] * nesting.sizes[table]
    network.settle()
    return np.array(network.flows[start : start + parts.size], dtype=np.int64) // unit


def _network(tails: Integers, heads: Integers, flows: Integers, costs: Floats, unit: int, nodes: int) -> Network:
    import numpy as np

    arcs: list[list[int]] = [[] for _ in range(nodes)]
    for arc in np.flatnonzero(flows % unit).tolist():
        arcs[tails[arc]].append(arc)
        arcs[heads[arc]].append(arc)
    others: list[list[int]] = [[] for _ in range(flows.size)]
    return Network(tails.tolist(), heads.tolist(), flows.tolist(), costs.tolist(), unit, arcs, others, [])


def _added(cells: Integers, parts: Integers, size: int) -> Integers:
    import numpy as np

    found = np.zeros(size, dtype=np.int64)
    np.add.at(found, cells, parts)
    return found


def _cost(flow: Integers, unit: int) -> Floats:
    """What it costs to round up instead of down: less than nothing where up is nearer."""
    found: Floats = 1.0 - 2.0 * (flow % unit) / unit
    return found
