"""What a portal knows of the ledger: each table names the entries that its releases were paid with, so that what is
public tells what was spent, also where the ledger was lost or is older."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.definitions.feed import is_loopback
from publisher.errors import PortalError
from publisher.push.client import RetryPolicy, SocrataClient
from publisher.push.embedded import answers, running
from publisher.push.provenance import heads_on
from publisher.push.target import Target
from publisher.release.table import table_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from publisher.privacy.chain import Head
    from publisher.workspace import Workspace

_ONCE = RetryPolicy(attempts=2)
"""It is asked before anything else is done, and whoever asks decides what an answer that does not come means."""


def published_heads(workspace: Workspace, more: Collection[str] = ()) -> list[Head]:
    """The entries that everyone can read on the portal, of the workspace's tables and of those named.

    An embedded portal that is on this machine and has no store has published nothing; one that does not run is started.
    Raises PortalError when it does not answer.
    """
    settings = workspace.settings.portal
    url = f"https://{settings.domain}" if settings.domain is not None else settings.url
    ours = settings.kind == "embedded" and is_loopback(urlsplit(url).hostname or "")
    if ours and not workspace.portal.is_dir() and not answers(url):
        return []
    names = {each.named(level) for each in workspace.datasets.values() for level in table_names(each.definition)}
    public = Target(url, public=True, username="", password="", app_token="")
    with running(settings, workspace.portal), _quiet(), SocrataClient(public, _ONCE) as client:
        return list(_heads(client, names.union(more)))


def _heads(client: SocrataClient, names: Collection[str]) -> Iterator[Head]:
    for identifier in client.listed(names):
        view = client.view(identifier)
        if view is not None:
            yield from heads_on(view, client.link(identifier))


def published_if_answered(workspace: Workspace) -> list[Head]:
    """The same; nothing where the portal does not answer, or is not running: a push asks it again."""
    settings = workspace.settings.portal
    if settings.kind == "embedded" and not answers(settings.url):
        return []
    try:
        return published_heads(workspace)
    except PortalError:
        return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Without sodapy's words about reading without an account."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
