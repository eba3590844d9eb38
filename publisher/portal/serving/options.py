"""How a portal is served: what the command line may say, once for both commands that serve one."""

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
    """Where and how a portal answers."""

    host: str = "127.0.0.1"
    port: int = 8311
    """0 chooses a free one."""
    public_url: str | None = None
    ready_file: Path | None = None
    workers: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose word on the client's address and scheme counts."""
    metrics_token: str | None = None
    log_format: Literal["text", "json"] = "text"
    anonymous_rate: int = 100
    """Requests a second that an address may make for as long as it likes without an app token; ten times with one."""
    grace: int = 10
    """Seconds that open requests have to end once the portal is told to stop."""

    @classmethod
    def of(cls, *, trusted_proxy: tuple[str, ...] = (), metrics_token_file: Path | None = None, **given: Any) -> Self:
        """What the options say. Errors: DefinitionError where they do not fit together."""
        said = {name: value for name, value in given.items() if value is not None}
        serving = cls(trusted_proxies=trusted_proxy, metrics_token=_token(metrics_token_file), **said)
        if (serving.tls_certificate is None) != (serving.tls_key is None):
            raise DefinitionError("TLS needs both --tls-certificate and --tls-key")
        if serving.public_url and not re.fullmatch(r"https?://[^/?#\s]+/?", serving.public_url):
            raise DefinitionError("--public-url must be an address without a path, such as https://data.example.gov")
        for address in serving.trusted_proxies:
            _network(address)
        return serving

    @property
    def behind_proxy(self) -> bool:
        """Whether something stands between the portal and the public."""
        return bool(self.public_url or self.trusted_proxies)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise DefinitionError(f"cannot read the token in {file}") from None
    if not token:
        raise DefinitionError(f"there is no token in {file}")
    return token


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise DefinitionError(
            f"--trusted-proxy {text}: give an address or a network, such as 10.0.0.7 or 10.0.0.0/24"
        ) from None


_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--host", help="Address to listen on; 127.0.0.1 unless said."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 chooses a free one."),
    click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer; 1 unless said."),
    click.option("--public-url", help="The address under which the public reaches the portal."),
    click.option("--tls-certificate", type=_FILE, help="Serve HTTPS with this certificate chain (PEM)."),
    click.option("--tls-key", type=_FILE, help="The certificate's private key (PEM, not encrypted)."),
    click.option(
        "--trusted-proxy",
        multiple=True,
        help="Believe X-Forwarded-For, X-Forwarded-Proto and X-Request-ID from this address or network.",
    ),
    click.option(
        "--metrics-token-file", type=_FILE, help="Show /metrics only to whom sends this file's text as bearer token."
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="One line or one JSON object a request."),
    click.option(
        "--anonymous-rate",
        type=click.IntRange(1),
        help="Requests a second of one address without app token, to each process; 100. Ten times with a token.",
    ),
    click.option("--grace", type=click.IntRange(0, 3600), help="Seconds for open requests when told to stop; 10."),
    click.option("--ready-file", type=_FILE, help="Write the address here once the portal answers."),
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of `Serving.of`; `port` is None unless said."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
