"""The command line options for running the portal, shared by both commands that run one."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import click

from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where and how the portal runs."""

    host: str = "127.0.0.1"
    port: int = 8311
    """0 chooses a free port."""
    public_url: str | None = None
    ready_file: Path | None = None
    workers: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies that are believed about the client's address and scheme."""
    metrics_token: str | None = None
    log_format: Literal["text", "json"] = "text"
    anonymous_rate: int = 100
    """Requests per second that an address may keep making without an app token; ten times as many with one."""
    grace: int = 10
    """Seconds that open requests get to finish once the portal is told to stop."""

    @classmethod
    def of(cls, *, trusted_proxy: tuple[str, ...] = (), metrics_token_file: Path | None = None, **given: Any) -> Self:
        """Read the options. Raises DefinitionError if they do not fit together."""
        said = {name: value for name, value in given.items() if value is not None}
        serving = cls(trusted_proxies=trusted_proxy, metrics_token=_token(metrics_token_file), **said)
        if (serving.tls_certificate is None) != (serving.tls_key is None):
            raise DefinitionError("TLS needs both --tls-certificate and --tls-key; give both or neither")
        if serving.public_url and not re.fullmatch(r"https?://[^/?#\s]+/?", serving.public_url):
            raise DefinitionError("--public-url: give an address without a path, such as https://data.example.gov")
        if not serving.public_url and not _is_loopback(serving.host):
            raise DefinitionError(
                f"--host {serving.host}: other machines can reach the portal there, so give --public-url too,"
                " the address that people use, such as https://data.example.gov"
            )
        for address in serving.trusted_proxies:
            _network(address)
        return serving

    @property
    def behind_proxy(self) -> bool:
        """Whether a proxy is between the portal and the public."""
        return bool(self.public_url or self.trusted_proxies)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise DefinitionError(f"--metrics-token-file: cannot read {file}") from None
    if not token:
        raise DefinitionError(f"--metrics-token-file: {file} is empty; put a token in it")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise DefinitionError(
            f"--trusted-proxy {text}: give an IP address or network, such as 10.0.0.7 or 10.0.0.0/24"
        ) from None


_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--host", help="Address to listen on (default: 127.0.0.1)."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 chooses a free port."),
    click.option("--workers", type=click.IntRange(1, 64), help="Number of worker processes (default: 1)."),
    click.option(
        "--public-url",
        help="The portal's public address, such as https://data.example.gov; needed with a --host that other machines"
        " can reach.",
    ),
    click.option("--tls-certificate", type=_FILE, help="Serve HTTPS with this certificate chain (PEM)."),
    click.option("--tls-key", type=_FILE, help="The certificate's private key (PEM, not encrypted)."),
    click.option(
        "--trusted-proxy",
        multiple=True,
        help="Trust X-Forwarded-For, X-Forwarded-Proto, and X-Request-ID from this address or network.",
    ),
    click.option(
        "--metrics-token-file",
        type=_FILE,
        help="Show /metrics only to clients that send this file's text as bearer token.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="Log format: one line or one JSON object per request (default: text).",
    ),
    click.option(
        "--anonymous-rate",
        type=click.IntRange(1),
        help="Requests per second per address without an app token, in each process (default: 100);"
        " ten times as many with one.",
    ),
    click.option(
        "--grace", type=click.IntRange(0, 3600), help="Seconds to wait for open requests when stopping (default: 10)."
    ),
    click.option("--ready-file", type=_FILE, help="Write the portal's address to this file once it is running."),
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options of `Serving.of`; `port` is None if it is not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
