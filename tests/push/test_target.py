"""Where to push and with whose credentials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.definitions.settings import PortalSettings
from publisher.errors import PortalError
from publisher.push.target import VARIABLES, target_of

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = {"username": "name", "password": "secret-1", "app_token": "secret-2"}
ENVIRONMENT = dict(zip(VARIABLES, ACCOUNT.values(), strict=True))


def test_the_embedded_portal_lends_its_account(tmp_path: Path) -> None:
    """Without variables the embedded portal's own file counts; with them, they do."""
    (tmp_path / "writer.json").write_text(json.dumps(ACCOUNT))
    settings = PortalSettings(url="http://127.0.0.1:9000")
    target = target_of(settings, tmp_path, {})
    assert (target.url, target.public) == ("http://127.0.0.1:9000", False)
    assert (target.username, target.password, target.app_token) == tuple(ACCOUNT.values())
    given = target_of(settings, tmp_path, {**ENVIRONMENT, "SOCRATA_USERNAME": "other"})
    assert (given.username, given.public) == ("other", False)


def test_a_socrata_domain_needs_all_three_variables(tmp_path: Path) -> None:
    """A Socrata domain is public, reached by https, and named together with the variables that are missing."""
    settings = PortalSettings(kind="socrata", domain="data.example.gov")
    target = target_of(settings, tmp_path, ENVIRONMENT)
    assert (target.url, target.public, target.app_token) == ("https://data.example.gov", True, "secret-2")
    (tmp_path / "writer.json").write_text(json.dumps(ACCOUNT))
    with pytest.raises(PortalError, match="set SOCRATA_USERNAME, SOCRATA_PASSWORD, SOCRATA_APP_TOKEN in"):
        target_of(settings, tmp_path, {})
    with pytest.raises(PortalError, match=r"^set SOCRATA_PASSWORD in the environment to push to data\.example\.gov$"):
        target_of(settings, tmp_path, {**ENVIRONMENT, "SOCRATA_PASSWORD": ""})


def test_an_unusable_account_file_is_said(tmp_path: Path) -> None:
    """A missing or broken account file is one message; it never quotes the file."""
    with pytest.raises(PortalError, match="run `publisher serve` once"):
        target_of(PortalSettings(), tmp_path, {})
    for text in ("{", "[]", '{"username": "secret-1"}'):
        (tmp_path / "writer.json").write_text(text)
        with pytest.raises(PortalError, match=r"writer\.json: cannot be read") as caught:
            target_of(PortalSettings(), tmp_path, {})
        assert "secret" not in str(caught.value)


def test_credentials_are_not_printed(tmp_path: Path) -> None:
    """A target's repr shows where, never with what."""
    target = target_of(PortalSettings(), tmp_path, ENVIRONMENT)
    assert repr(target) == "Target(url='http://127.0.0.1:8311', public=False, timeout=600.0)"
