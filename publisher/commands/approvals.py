"""What reviewers do: make a key, and approve or reject a definition or a release with it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.approvals.approval import signed
from publisher.approvals.keys import make_key, read_key
from publisher.commands.benefit_risk import form_path, form_words, open_answers, read_text
from publisher.commands.review import bring_up_to_date
from publisher.definitions.model import NAME
from publisher.durable import private_files, write_file
from publisher.errors import DefinitionError
from publisher.pipeline.decisions import public_reason
from publisher.pipeline.job import identity_of
from publisher.pipeline.reviews import definition_subject, release_subject
from publisher.pipeline.session import locked
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.approvals.approval import DecisionKind, DefinitionSubject, ReleaseSubject
    from publisher.approvals.keys import SigningKey
    from publisher.definitions.settings import ReviewSettings
    from publisher.pipeline.catalog import Catalog
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

UNDECIDED = ("waiting for approval", "rejected")
"""The statuses of releases that reviewers may decide about."""


@dataclass(frozen=True)
class Reviewer:
    """Who decides: the name in publisher.toml, where the private key is, and how its passphrase is asked for."""

    name: str
    file: Path
    passphrase: Callable[[], str]


@dataclass(frozen=True)
class Decided:
    """What a reviewer decides, and why."""

    decision: DecisionKind
    reason: str
    editor: str = ""
    """Of a definition: who edited it last."""


def keys_folder() -> Path:
    """Where reviewers' private keys are by the XDG base directories. Raises DefinitionError without a home folder."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    try:
        base = base if base.is_absolute() else Path("~/.config").expanduser()
    except RuntimeError:
        raise DefinitionError("this account has no home folder for your key: name a file for it with --file") from None
    return base / "publisher" / "keys"


def new_key(workspace: Workspace, name: str, file: Path | None, passphrase: Callable[[], str]) -> list[str]:
    """Make a reviewer's key pair; says where the private key is, and the line for publisher.toml."""
    if not re.fullmatch(NAME, name):
        raise DefinitionError(f"{name!r} is no name for a reviewer: use small letters, digits and hyphens")
    path = (file or keys_folder() / f"{name}.pem").absolute()
    if path.resolve().is_relative_to(workspace.root) or path.resolve().is_relative_to(workspace.state):
        raise DefinitionError(f"{path}: a private key stays with its reviewer: put it outside the workspace")
    with private_files():
        made = make_key(path, passphrase())
    return [
        f"Your private key is in {path}; only you can read it, and its passphrase is nowhere. Keep a copy of both.",
        "For publisher.toml:",
        f'[review.reviewers]\n{name} = "{made.public}"',
    ]


def decide(
    workspace: Workspace,
    dataset: DatasetFile,
    period: str | None,
    who: Reviewer,
    what: Decided,
    agree: Callable[[str], None],
    *,
    push: bool,
) -> str:
    """Sign and record a decision about the definition, or about the newest undecided release of a period; says what it
    leads to. Raises DefinitionError, and SourceError when the key cannot be used."""
    settings = _settings(workspace)
    reason = public_reason(what.reason)
    key = _key(settings, who)
    with locked(workspace) as catalog:
        subject: ReleaseSubject | DefinitionSubject
        if period is None:
            subject, text = _definition(workspace, catalog, dataset, who.name, what)
        else:
            subject, text = _release(catalog, dataset, period, who.name, what), ""
        verb = "Approve" if what.decision == "approved" else "Reject"
        agree(f"{verb} {_named(subject)} as {who.name}, because {reason!r}?")
        if text:
            _keep(workspace, text)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        follows = catalog.reviews(dataset.name).follows(subject.place, who.name)
        catalog.review(signed(key, subject, what.decision, reason, who.name, at, follows))
        done = f"{_named(subject)}: {what.decision} by {who.name}. {_leads_to(workspace, catalog, dataset, period)}"
        if period is not None:
            bring_up_to_date(workspace, catalog, dataset, done, push=push)
        return done


def definition_text(workspace: Workspace, dataset: DatasetFile) -> str:
    """Everything that people wrote for a dataset, file by file, as it is compared when it changes."""
    root, definition, source = workspace.root, dataset.definition, dataset.source
    keysets = [*(key.keyset for key in definition.keys), *source.definition.lookups]
    for each in definition.coarser:
        keysets += [each.keyset, each.mapping]
    keysets += [key.boundaries.mapping for key in definition.keys if key.boundaries is not None]
    paths = [root / "datasets" / f"{dataset.name}.toml"]
    paths += [root / "pipelines" / f"{source.name}{suffix}" for suffix in (".toml", ".sql")]
    paths += [root / "datasets" / "keysets" / f"{name}.csv" for name in dict.fromkeys(keysets) if name]
    paths += [workspace.suite(dataset.named(level)) for level in level_names(definition)]
    paths.append(form_path(workspace, dataset))
    there = [path for path in paths if path.is_file()]
    return "".join(f"==== {workspace.shown(path)}\n{read_text(path).rstrip()}\n" for path in there)


def subject_now(workspace: Workspace, dataset: DatasetFile, editor: str = "") -> tuple[DefinitionSubject, str]:
    """What is signed of the definition as it is now, and its text."""
    text = definition_text(workspace, dataset)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return definition_subject(workspace, identity_of(workspace, dataset), digest, editor), text


def approved_text(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> str:
    """The text of the definition that was approved last; empty if there is none, or if it is not as it was signed."""
    last = catalog.reviews(dataset.name).last_definition()
    if last is None:
        return ""
    path = _text_path(workspace, last.text)
    content = path.read_bytes() if path.is_file() else b""
    return content.decode() if hashlib.sha256(content).hexdigest() == last.text else ""


def undecided(catalog: Catalog, dataset: DatasetFile, period: str) -> Release | None:
    """The newest release of a period, if reviewers have not approved it."""
    found = [each for each in catalog.standings(dataset.name) if each.release.manifest.period == period]
    return found[-1].release if found and found[-1].status in UNDECIDED else None


def _settings(workspace: Workspace) -> ReviewSettings:
    if workspace.review is None:
        raise DefinitionError("publisher.toml: this workspace asks for no review: docs/review.md says how it can")
    return workspace.review


def _key(settings: ReviewSettings, who: Reviewer) -> SigningKey:
    """The reviewer's key, which must be the one that publisher.toml has."""
    if who.name not in settings.reviewers:
        known = ", ".join(settings.reviewers)
        raise DefinitionError(f"publisher.toml: {who.name} is not a reviewer; the reviewers are {known}")
    key = read_key(who.file, who.passphrase)
    if key.public != settings.reviewers[who.name]:
        raise DefinitionError(f"{who.file}: is not the key that publisher.toml has for {who.name}. Nothing was signed")
    return key


def _definition(
    workspace: Workspace, catalog: Catalog, dataset: DatasetFile, name: str, what: Decided
) -> tuple[DefinitionSubject, str]:
    """The definition as it is now, and its text. Raises DefinitionError if its editor would approve it."""
    if what.decision == "approved" and not what.editor:
        raise DefinitionError(
            f"{dataset.name}: say with --edited-by who edited the definition last: publisher cannot know it"
        )
    if what.decision == "approved" and what.editor == name:
        raise DefinitionError(f"{dataset.name}: {name} edited the definition, so another reviewer has to approve it")
    if what.decision == "approved" and _settings(workspace).form and open_answers(workspace, dataset) != 0:
        raise DefinitionError(f"{dataset.name}: its benefit-risk form: {form_words(workspace, dataset)}")
    if what.editor and not re.fullmatch(NAME, what.editor):
        raise DefinitionError(
            f"--edited-by: {what.editor!r} is no name: write it as publisher.toml has the names of reviewers, in small "
            "letters, digits and hyphens"
        )
    subject, text = subject_now(workspace, dataset, what.editor)
    named = catalog.reviews(dataset.name).editors(subject.statistical_hash)
    if what.decision == "approved" and name in named:
        raise DefinitionError(f"{dataset.name}: another approval says that {name} edited the definition last")
    return subject, text


def _release(catalog: Catalog, dataset: DatasetFile, period: str, name: str, what: Decided) -> ReleaseSubject:
    """The release that waits. Raises DefinitionError if none does, or if its definition's editor would approve it."""
    if what.editor:
        raise DefinitionError("--edited-by is about a definition: leave the period out, or the editor")
    release = undecided(catalog, dataset, period)
    if release is None:
        raise DefinitionError(
            f"{dataset.name}: no release of {period} waits for approval; `publisher releases` shows each status"
        )
    catalog.refuse_if_changed(release)
    editors = catalog.reviews(dataset.name).editors(release.manifest.statistical_hash)
    if what.decision == "approved" and name in editors:
        raise DefinitionError(f"{dataset.name}: {name} edited its definition, so another reviewer has to approve it")
    return release_subject(release, catalog.store.sha256(release.manifest.name))


def _named(subject: ReleaseSubject | DefinitionSubject) -> str:
    """What is decided about, with the beginning of its hash, which `publisher review` shows too."""
    if subject.kind == "release":
        return f"{subject.place} ({subject.manifest[:12]})"
    return f"the definition of {subject.dataset} ({subject.hash[:12]})"


def _leads_to(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, period: str | None) -> str:
    """What the decision leads to."""
    settings = _settings(workspace)
    if period is not None:
        waiting = undecided(catalog, dataset, period)
        if waiting is None:
            return "It can be published."
        state = catalog.standing(waiting).review
    else:
        wanted = definition_subject(workspace, identity_of(workspace, dataset))
        state = catalog.reviews(dataset.name).of_definition(wanted, settings, datetime.now(UTC))
        if state.state == "approved":
            return "It can be charged: `publisher run`."
    if state is None or state.rejected:
        return "It stays as it is until that is approved." if period is None else "It is not published."
    return f"It still needs another approval: {state.words}."


def _text_path(workspace: Workspace, digest: str) -> Path:
    return workspace.private / "approved definitions" / f"{digest}.txt"


def _keep(workspace: Workspace, text: str) -> None:
    """Keep the text of a definition for later comparisons; it is private, since it names files and servers."""
    with private_files():
        write_file(_text_path(workspace, hashlib.sha256(text.encode()).hexdigest()), text.encode(), mode=0o600)
