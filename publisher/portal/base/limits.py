"""How much the portal takes from one client."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests: so many at once, and so many each second for as long as one likes."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates, each for one process: of an address, and of an app token."""

    anonymous: Rate
    token: Rate

    @classmethod
    def of(cls, per_second: float) -> Self:
        """Half a minute's requests at once; ten times as many with a token."""
        return cls(Rate(30 * per_second, per_second), Rate(300 * per_second, 10 * per_second))


USUAL = Limits.of(100)


def network(client: str) -> str:
    """The address; of IPv6 the /64, which is one customer's to choose from."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))
