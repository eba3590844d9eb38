"""Time and fit of the noise: our own sampler beside OpenDP's, both distributions, in one run.

    python benchmarks/noise.py [--cells 1000000] [--draws 20000000]

Times are of `add_noise`, the path of a release, which gives OpenDP one thread per core; beside it OpenDP's plain single
call. Each is the best of three (OpenDP's plain call: one). The p-values compare `--draws` draws of our own sampler,
released in parts, with the exact probabilities.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from publisher.privacy.mechanism import mechanism_for, noise_alone, opendp, opendp_version, sampler_version
from publisher.privacy.noise_check import p_values
from publisher.privacy.sensitivity import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.privacy.mechanism import Sampler
    from publisher.privacy.sampler import Kind
    from publisher.stages import Mechanism

SCALES = (Fraction(3), Fraction(50), Fraction("7.0710678"))
KINDS: dict[Kind, Literal["zcdp", "pure"]] = {"discrete laplace": "pure", "discrete gaussian": "zcdp"}


def made(kind: Kind, scale: Fraction, sampler: Sampler) -> Mechanism:
    """The mechanism whose scale on paper is that scale."""
    loss = 1 / scale if kind == "discrete laplace" else 1 / (2 * scale**2)
    return mechanism_for("m", KINDS[kind], Sensitivity(1, 1), loss, sampler=sampler)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best of the repeats."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def times(cells: int) -> None:
    """One row per distribution and scale."""
    print(f"\nseconds for {cells:,} cells  |  publisher |  OpenDP, {os.cpu_count()} threads |  OpenDP, plain call")
    for kind in KINDS:
        for scale in SCALES:
            own, theirs = made(kind, scale, "numpy"), made(kind, scale, "opendp")
            assert (own.sampler, theirs.sampler) == ("numpy", "opendp")
            plain = opendp().deserialize(theirs.serialized)
            zeros = np.zeros(cells, dtype=np.int64)
            ours = seconds(lambda: noise_alone(own, cells), 3)  # noqa: B023 - called at once
            threads = seconds(lambda: noise_alone(theirs, cells), 3)  # noqa: B023
            single = seconds(lambda: plain(zeros), 1)  # noqa: B023
            print(
                f"{kind:17}, scale {float(scale):5.2f} | {ours:10.3f} | {threads:8.2f} ({threads / ours:4.1f} times)"
                f" | {single:8.2f} ({single / ours:4.1f} times)"
            )


def fits(draws: int) -> None:
    """The p-values of each test; with sound noise they are uniform or, for Chernoff's bounds, near 1."""
    print(f"\np-values of {draws:,} draws of our own sampler against the exact probabilities")
    for kind in KINDS:
        for scale in SCALES:
            mechanism = made(kind, scale, "numpy")
            parts = [noise_alone(mechanism, min(1_000_000, draws - done)) for done in range(0, draws, 1_000_000)]
            found = p_values(np.concatenate(parts), kind, mechanism.scale)
            print(
                f"{kind:17}, scale {float(scale):5.2f} | " + ", ".join(f"{test} {p:.2g}" for test, p in found.items())
            )


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description="Time and fit of the noise.")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=20_000_000)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, OpenDP {opendp_version()}, "
        f"{sampler_version('numpy')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    times(options.cells)
    fits(options.draws)


if __name__ == "__main__":
    main()
