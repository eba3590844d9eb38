"""What the portal shows of a dataset, asked quickly and without an account: which releases, not row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.push.client import UnreachableError, View
from publisher.push.provenance import editions_on
from publisher.push.sync import portal_addresses
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.pipeline.catalog import Standing
    from publisher.workspace import DatasetFile, Workspace

SECONDS = 3.0
"""How long one answer may take, where someone waits for it."""

PATIENT = 30.0
"""The same where no one does: a portal that is busy for a moment is no reason to alarm anyone."""


def differing(
    workspace: Workspace, dataset: DatasetFile, standings: Sequence[Standing], seconds: float = SECONDS
) -> set[str]:
    """The periods of which the portal does not show the current release, or shows one that is not current.

    Raises UnreachableError when it does not answer in time. Nothing is asked of a table that was never sent.
    """
    ids = {level: identifier for level, (identifier, _) in portal_addresses(workspace, dataset).items()}
    current = [each.release for each in standings if each.status == "ready"]
    periods: set[str] = set()
    for level in level_names(dataset.definition):
        wanted = {(each.manifest.period, each.manifest.edition) for each in current if level in each.tables}
        shown = _editions(workspace, ids[level], seconds) if level in ids else set()
        periods |= {period for period, _ in wanted ^ shown}
    return periods


def _editions(workspace: Workspace, identifier: str, seconds: float) -> set[tuple[str, int]]:
    """The current releases that everyone can read there; none if the table is gone or private."""
    import requests

    settings = workspace.settings.portal
    url = settings.url if settings.domain is None else f"https://{settings.domain}"
    try:
        answer = requests.get(f"{url}/api/views/{identifier}.json", timeout=seconds)
        if answer.status_code in (401, 403, 404):
            return set()
        answer.raise_for_status()
        view = View(identifier, answer.json())
        return editions_on(view) if view.public else set()
    except (requests.RequestException, ValueError, AttributeError):
        raise UnreachableError(f"{url} does not answer within {seconds:.0f} s as a portal does") from None
