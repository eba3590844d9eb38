"""`publisher keyset`: a keyset from a public list, with words about where it comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from publisher.definitions.keyset import keyset_bytes, read_keyset
from publisher.definitions.likeness import likeness
from publisher.definitions.model import Slug
from publisher.definitions.toml import read_toml
from publisher.durable import write_file
from publisher.errors import DefinitionError
from publisher.reference.listing import keys_of
from publisher.reference.reader import read_file, read_online

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.definitions.keyset import Keyset
    from publisher.reference.listing import PublicKeys, PublicList
    from publisher.workspace import Workspace

EXAMPLES = 8
"""The most keys that a change lists."""


@dataclass(frozen=True)
class _Use:
    """A dataset that names the keyset, with its catch-all key."""

    dataset: str
    other: str


def write_keyset(
    workspace: Workspace,
    name: str,
    origin: str,
    *,
    key: str | None,
    label: str | None,
    replace: bool,
    agree: Callable[[str], None],
) -> Iterator[str]:
    """Write datasets/keysets/NAME.csv and say what was done; `agree` is asked before the keys of a file change.

    Raises DefinitionError, SourceError and PortalError; nothing is then written.
    """
    path = _path(workspace, name)
    shown = workspace.shown(path)
    if path.exists() and not replace:
        raise DefinitionError(f"{shown} exists: add --replace to see what would change. Nothing was written")
    before = read_keyset(path, shown) if path.exists() else None
    found = _list(workspace, origin, key, label)
    made = keys_of(found)
    uses = tuple(_uses(workspace, name))
    yield from made.corrected
    yield from _other(made, uses, shown)
    if found.tabular and made.repeated:
        agree(
            f"{found.origin}: keys come again in {made.repeated:,} row(s). A list of codes may do that, and a table of "
            "records does, but records must never decide a key. Is it a public list, not a table of records?"
        )
    keys, labels = _in_known_order(made, before)
    if before is not None:
        changes = list(_changes(before, keys, labels))
        yield from changes or ["the keys and labels stay as they are"]
        if keys != before.keys and uses:
            agree(_another_draw(uses))
    others = (
        {code: dict(zip(before.keys, called, strict=True)) for code, called in before.others.items()} if before else {}
    )
    write_file(path, keyset_bytes(keys, labels, _notes(found), others))
    yield f"wrote {shown}: {len(keys):,} public keys from {found.origin}"


def _path(workspace: Workspace, name: str) -> Path:
    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        words = "is not a name for a keyset: use lower-case letters, digits and hyphens, such as neighborhoods"
        raise DefinitionError(f"{name!r} {words}") from None
    return workspace.root / "datasets" / "keysets" / f"{name}.csv"


def _list(workspace: Workspace, origin: str, key: str | None, label: str | None) -> PublicList:
    if "://" in origin:
        return read_online(workspace, origin, key, label, os.environ)
    path = Path(origin)
    if not path.is_file() and (workspace.data / origin).is_file():
        path = workspace.data / origin
    return read_file(workspace, path, _shown(workspace, path), key, label)


def _shown(workspace: Workspace, path: Path) -> str:
    """The path as it can be in a file that is committed: no folder outside the data and the workspace."""
    place = path.resolve()
    for folder in (workspace.data, workspace.root):
        if place.is_relative_to(folder):
            return place.relative_to(folder).as_posix()
    return path.name


def _notes(found: PublicList) -> tuple[str, ...]:
    day = datetime.now(UTC).date().isoformat()
    return (
        "Public keys, written by `publisher keyset`. Nothing in this file may come from records.",
        f"From: {found.origin}",
        f"Read on: {day}",
    )


def _uses(workspace: Workspace, name: str) -> Iterator[_Use]:
    """Every dataset that names the keyset, even one that is not complete yet."""
    for path in sorted((workspace.root / "datasets").glob("*.toml")):
        try:
            values, _ = read_toml(path, workspace.shown(path))
        except DefinitionError:
            continue  # `publisher check` says what is wrong with it
        for part in ("keys", "coarser"):
            tables = values.get(part)
            for each in tables if isinstance(tables, tuple) else ():
                if isinstance(each, dict) and each.get("keyset") == name:
                    yield _Use(path.stem, str(each.get("other", "")))


def _other(made: PublicKeys, uses: tuple[_Use, ...], shown: str) -> Iterator[str]:
    """Say that a key is the catch-all of a dataset too. Raises DefinitionError if it only looks like it."""
    alike = {likeness(key): key for key in made.keys}
    catch_alls = {use.other: use.dataset for use in uses} or {"Other": "", "Unknown": ""}
    for other, dataset in catch_alls.items():
        key = alike.get(likeness(other))
        if key is None:
            continue
        if dataset and key != other:
            raise DefinitionError(
                f"the key {key!r} looks like {other!r}, the catch-all `other` of datasets/{dataset}.toml: write "
                f"other = {key!r} there, or choose a word that is no key. {shown} was not written"
            )
        whose = f"`other` of datasets/{dataset}.toml" if dataset else "a usual name for `other`"
        yield f"the key {key!r} is {whose} too: its records and those without a key are then counted together"


def _in_known_order(made: PublicKeys, before: Keyset | None) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The same keys stay in the order that they have: another order would be another draw."""
    if before is None or {*before.keys} != {*made.keys}:
        return made.keys, made.labels
    labels = dict(zip(made.keys, made.labels, strict=True)) if made.labels is not None else None
    return before.keys, tuple(labels[key] for key in before.keys) if labels is not None else None


def _changes(before: Keyset, keys: tuple[str, ...], labels: tuple[str, ...] | None) -> Iterator[str]:
    known, new = set(before.keys), set(keys)
    for words, which in (
        ("added", [key for key in keys if key not in known]),
        ("removed", [key for key in before.keys if key not in new]),
    ):
        if which:
            more = f" and {len(which) - EXAMPLES:,} more" if len(which) > EXAMPLES else ""
            yield f"{len(which):,} key(s) {words}: {', '.join(which[:EXAMPLES])}{more}"
    if before.labels is not None and labels is None:
        yield "the labels are removed: add --label to keep them"
        return
    old = dict(zip(before.keys, before.labels or before.keys, strict=True))
    changed = [key for key, label in zip(keys, labels or keys, strict=True) if key in old and old[key] != label]
    if changed:
        yield f"{len(changed):,} label(s) changed: labels are not part of a draw, so this costs nothing"


def _another_draw(uses: tuple[_Use, ...]) -> str:
    names = ", ".join(dict.fromkeys(use.dataset for use in uses))
    return (
        f"With other keys a release is another draw: {names} would draw and charge again what was released, and "
        "`publisher run` refuses that without --redraw. `publisher plan` shows the cost."
    )
