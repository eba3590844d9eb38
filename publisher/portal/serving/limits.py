"""How much the portal takes from one client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests: so many at once, and so many each second for as long as one likes."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates, each for one process: of an address, and of an app token or an address that logs in."""

    anonymous: Rate
    token: Rate

    @classmethod
    def of(cls, per_second: float) -> Self:
        """Half a minute's requests at once; ten times as many with a token."""
        return cls(Rate(30 * per_second, per_second), Rate(300 * per_second, 10 * per_second))


USUAL = Limits.of(100)
