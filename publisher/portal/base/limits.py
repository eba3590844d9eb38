"""How many requests one client may make."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests at once, and how many per second over a longer time."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates per process: for an address, and for an app token."""

    anonymous: Rate
    token: Rate

    @classmethod
    def of(cls, per_second: float) -> Self:
        """The limits for `per_second` requests: 30 times as many at once, and ten times both with a token."""
        return cls(Rate(30 * per_second, per_second), Rate(300 * per_second, 10 * per_second))


USUAL = Limits.of(100)


def network(client: str) -> str:
    """The address; for IPv6 the /64 network, because one customer usually has all of it."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))
