"""What Google's dp-accounting says about compositions of discrete noise: the tests compare with what it said.

`python tests/release/reference_losses.py` writes it again. That needs dp-accounting 0.6, which is not among the
requirements of development: it wants a version of attrs that is years older than the one pinned here.
"""

from __future__ import annotations

import json
from pathlib import Path

from publisher.release.loss_distribution import Shift

FILE = Path(__file__).parent / "reference_losses.json"
G, L = "discrete gaussian", "discrete laplace"
CASES: dict[str, tuple[Shift, ...]] = {
    "a count at ρ = 0.1": (Shift(G, 2.236068, 1),),
    "a count at ρ = 0.5": (Shift(G, 1.0, 1),),
    "a count at ρ = 2": (Shift(G, 0.5, 1),),
    "narrow noise": (Shift(G, 0.3, 1),),
    "three rollups at ρ = 0.1": (Shift(G, 2.88676, 1), Shift(G, 4.08249, 1), Shift(G, 7.07107, 1)),
    "four cells of three": (Shift(G, 13.41641, 3, 4),),
    "a hundred cells at ρ = 1": (Shift(G, 7.07107, 1, 100),),
    "a wide sum at ρ = 0.5": (Shift(G, 900.0, 900),),
    "a count and a sum": (Shift(G, 3.162278, 1), Shift(G, 2846.05, 900)),
    "a household of five": (Shift(G, 2.236068, 5),),
    "a count at ε = 1": (Shift(L, 1.0, 1),),
    "a sum at ε = 1": (Shift(L, 900.0, 900),),
    "customers and energy": (Shift(L, 8.0, 1), Shift(L, 2400.0, 900)),
    "ten cells at ε = 1": (Shift(L, 20.0, 2, 10),),
    "narrow noise at ε = 4": (Shift(L, 0.5, 1, 2),),
}


def asked() -> dict[str, list[float]]:
    """The distance of each case by dp-accounting: not above it, and not below it."""
    from dp_accounting.pld import (  # type: ignore[import-not-found,unused-ignore]
        privacy_loss_distribution as library,
    )

    def distance(shifts: tuple[Shift, ...], *, pessimistic: bool) -> float:
        made = None
        for each in shifts:
            given = {
                "sensitivity": each.steps,
                "pessimistic_estimate": pessimistic,
                "value_discretization_interval": 1e-4,
                "use_connect_dots": pessimistic,
            }
            one = (
                library.from_discrete_gaussian_mechanism(each.scale, **given)
                if each.kind == G
                else library.from_discrete_laplace_mechanism(1 / each.scale, **given)
            ).self_compose(each.cells)
            made = one if made is None else made.compose(one)
        return float(made.get_delta_for_epsilon(0.0))

    return {
        name: [distance(shifts, pessimistic=False), distance(shifts, pessimistic=True)]
        for name, shifts in CASES.items()
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(asked(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
