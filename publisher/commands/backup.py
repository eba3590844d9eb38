"""`publisher backup` and `publisher restore`: what was copied, and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.backup.restoring import restore
from publisher.errors import PortalError
from publisher.push.published import published_heads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from publisher.backup.contents import BackupAbout
    from publisher.backup.restoring import Restored
    from publisher.privacy.chain import Head
    from publisher.workspace import Workspace

SHOWN = 10
"""How many restored files are named."""


def bring_back(workspace: Workspace, folder: Path, *, offline: bool) -> Restored:
    """Restore from a backup; `offline`: a person says that nothing was published after it. Raises as `restore` does."""

    def published(datasets: Collection[str]) -> list[Head]:
        try:
            return [] if offline else published_heads(workspace, datasets)
        except PortalError as error:
            raise PortalError(
                f"{error}. Nothing on this machine remembers this ledger, so only the portal can tell whether "
                "something was released after the backup: restore when it answers. If you know that nothing was, add "
                "--offline. Nothing was restored."
            ) from None

    return restore(workspace, folder, published)


def made_words(place: Path, about: BackupAbout) -> Iterator[str]:
    """Where a backup is, and what of it is private."""
    size = sum(each.bytes for each in about.files.values())
    yield f"{place}: {len(about.files):,} files, {size / 1e6:,.1f} MB, up to entry {about.entries} of the ledger."
    if about.records:
        yield (
            "It has landed records, with pseudonyms, and not private/key: with both, people can be found. Keep the key "
            "elsewhere, and delete this backup when your retention rules say so."
        )
    elif about.key:
        yield "It has private/key and no landed records: keep it as private as state/private."
    else:
        yield "It has neither private/key nor landed records: keep the key elsewhere, since nothing goes on without it."


def restored_words(done: Restored) -> Iterator[str]:
    """What came back."""
    if not (done.files or done.entries or done.left_out):
        yield f"Nothing is missing that {done.backup} has."
        return
    yield f"Restored from {done.backup}: entries of the ledger: {done.entries:,}; files: {len(done.files):,}."
    for name in done.files[:SHOWN]:
        yield f"  {name}"
    if len(done.files) > SHOWN:
        yield f"  and {len(done.files) - SHOWN:,} more"
    if done.key_missing:
        yield "private/key is not in this backup: put it back from where you keep it, before you run anything else."
    yield "Now run `publisher verify`, which also asks the portal if something newer was published."
