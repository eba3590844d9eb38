"""Whether every draw has noise of its own, and as much of it on large numbers as on small ones.

Everything here is noise on numbers that the audit made up; no record is read. `python -m publisher.audit.independence`
draws in a process of its own: a fixed seed shows between two of them.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import publisher
from publisher.audit.replay import words
from publisher.errors import SourceError
from publisher.privacy.mechanism import add_noise
from publisher.stages import BoundedAggregate, Mechanism

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.stages import Floats, Integers, Table

CELLS = 4096
"""The length of each drawn table."""
SIZES = (0, 1, -1, 1_000, 10_001, -10_001, 1_000_000, 10**12)
"""The exact numbers that noise is added to."""
FAR = 6.5
"""How many standard errors are too far. Correct noise fails once in 12 billion comparisons; tables that share their
noise are 64 standard errors away, half the noise at least 15."""
SECONDS = 120


def faults_of_noise(mechanisms: tuple[Mechanism, ...]) -> list[str]:
    """No two draws are alike (of tables, of releases, of processes), and numbers of every size get as much noise."""
    draws = [("in this process", _noise(mechanisms, 0)), ("in this process", _noise(mechanisms, 0))]
    draws += [("in another process", _elsewhere(mechanisms)) for _ in range(2)]
    return [*_alike(draws), *_uneven(mechanisms)]


def _noise(mechanisms: tuple[Mechanism, ...], number: int) -> dict[Table, Integers]:
    """What the product adds to tables that hold only that number."""
    import numpy as np

    tables = {each.table: np.full(CELLS, number, dtype=np.int64) for each in mechanisms}
    noisy = add_noise(BoundedAggregate((), tables), mechanisms).tables
    return {name: table - number for name, table in noisy.items()}


def _elsewhere(mechanisms: tuple[Mechanism, ...]) -> dict[Table, Integers]:
    """The same, drawn by a new process of the same package."""
    import numpy as np

    order = json.dumps([asdict(each) | {"loss": str(each.loss)} for each in mechanisms])
    path = os.pathsep.join([str(Path(publisher.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    try:
        made = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=order,
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
            env=os.environ | {"PYTHONPATH": path},
        )
    except (OSError, subprocess.SubprocessError):
        raise SourceError("noise could not be drawn in a process of its own") from None
    drawn: list[list[int]] = json.loads(made.stdout)
    return {each.table: np.array(table, np.int64) for each, table in zip(mechanisms, drawn, strict=True)}


def _alike(draws: Sequence[tuple[str, dict[Table, Integers]]]) -> list[str]:
    """Pairs of drawn tables that go together; tables of which nearly every cell is zero say nothing."""
    import numpy as np

    named = [(where, name, table) for where, drawn in draws for name, table in drawn.items() if table.std() > 0.1]
    if len(named) < 2:
        return []
    together = np.abs(np.corrcoef(np.array([table for _, _, table in named], np.float64))) * math.sqrt(CELLS)
    found = zip(*np.nonzero(np.triu(together > FAR, 1)), strict=True)
    return [_pair(named[one][:2], named[other][:2]) for one, other in found]


def _pair(one: tuple[str, Table], other: tuple[str, Table]) -> str:
    if one[1] != other[1]:
        return f"{words(one[1])} and {words(other[1])} share their noise"
    if one[0] == other[0] == "in another process":
        return "two processes draw the same noise"
    return f"two releases share the noise of {words(one[1])}"


def _uneven(mechanisms: tuple[Mechanism, ...]) -> Iterable[str]:
    """Tables whose noise is wider or narrower than its law on numbers of some size."""
    laws = {each.table: _moments(each) for each in mechanisms}
    for number in SIZES:
        for name, table in _noise(mechanisms, number).items():
            variance, error = laws[name]
            if abs(float((table.astype("float64") ** 2).mean()) - variance) > FAR * error:
                yield f"{words(name)}: the noise is not as wide as its law on numbers around {number:,}"


def _moments(mechanism: Mechanism) -> tuple[float, float]:
    """The variance of the noise, and the standard error of the mean of CELLS squares."""
    x, mass = _law(mechanism)
    second, fourth = (float((mass * x**power).sum() / mass.sum()) for power in (2, 4))
    return second, math.sqrt(max(fourth - second**2, 0.0) / CELLS)


def _law(mechanism: Mechanism) -> tuple[Floats, Floats]:
    """Points and weights of the noise's law. A wide one is looked at in steps: it is smooth."""
    import numpy as np

    gaussian, scale = mechanism.kind == "discrete gaussian", mechanism.scale
    step = max(1, int(scale / 50))
    reach = math.ceil((12 if gaussian else 60) * scale / step) + 1
    x = np.arange(-reach, reach + 1, dtype=np.float64) * step
    return x, np.exp(-(x**2) / (2 * scale**2) if gaussian else -np.abs(x) / scale)


def main() -> None:
    """Read mechanisms from standard input; write the noise of each on zeros."""
    order: list[dict[str, Any]] = json.load(sys.stdin)
    mechanisms = tuple(Mechanism(**each | {"loss": Fraction(each["loss"])}) for each in order)
    json.dump([table.tolist() for table in _noise(mechanisms, 0).values()], sys.stdout)


if __name__ == "__main__":
    main()
