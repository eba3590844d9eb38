"""Where to push, and with which credentials."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.definitions.settings import PortalSettings

VARIABLES = ("SOCRATA_USERNAME", "SOCRATA_PASSWORD", "SOCRATA_APP_TOKEN")


@dataclass(frozen=True)
class Target:
    """A portal and an account on it; no repr shows the credentials."""

    url: str
    """Scheme and domain, such as https://data.example.gov."""
    public: bool
    """True for a Socrata domain, which gets no stand-in data; False for the embedded portal."""
    username: str = field(repr=False)
    password: str = field(repr=False)
    app_token: str = field(repr=False)
    timeout: float = 600.0
    """Seconds that one reply may take: a large write takes a portal a long time."""


def target_of(settings: PortalSettings, portal_state: Path, environment: Mapping[str, str]) -> Target:
    """The target in the settings, with credentials from the environment or, if none are set there, from the file that
    the embedded portal leaves in its state folder. Raises PortalError naming what is missing."""
    given = {name: environment[name] for name in VARIABLES if environment.get(name)}
    if not given and settings.kind == "embedded":
        username, password, app_token = _embedded(portal_state / "writer.json")
        return Target(settings.url, False, username, password, app_token)
    missing = [name for name in VARIABLES if name not in given]
    if missing:
        raise PortalError(f"set {', '.join(missing)} in the environment to push to {settings.domain or settings.url}")
    url = settings.url if settings.domain is None else f"https://{settings.domain}"
    username, password, app_token = (given[name] for name in VARIABLES)
    return Target(url, settings.kind == "socrata", username, password, app_token)


def _embedded(file: Path) -> tuple[str, str, str]:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return held["username"], held["password"], held["app_token"]
    except FileNotFoundError:
        raise PortalError(
            f"no account for the embedded portal: run `publisher serve` once, or set {', '.join(VARIABLES)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PortalError(
            f"{file}: cannot be read as the portal's account: restore it from a backup, or set {', '.join(VARIABLES)}"
        ) from None
