"""Reviewers for towns: their keys, their decisions, and a workspace that asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.approvals.keys import make_key
from publisher.commands.approvals import Decided, Reviewer, decide
from publisher.durable import private_files
from publisher.pipeline.session import opened
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

    from publisher.approvals.approval import DecisionKind

PASSPHRASE = "correct horse battery"


@dataclass(frozen=True)
class Reviewers:
    """Three people with a key each, in a folder outside the workspace."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Reviewers:
        with private_files():
            for name in ("ana", "ben", "eve"):
                make_key(folder / f"{name}.pem", PASSPHRASE)
        return cls(folder)

    def public(self, name: str) -> str:
        from publisher.approvals.keys import read_key

        return read_key(self.folder / f"{name}.pem", lambda: PASSPHRASE).public

    def ask(self, town: Town, *names: str, required: int = 1, days: int = 365) -> None:
        """Have the town ask these for review, and no one else."""
        settings = town.root / "publisher.toml"
        before = settings.read_text().partition("\n[review]")[0]
        lines = [f'{name} = "{self.public(name)}"' for name in names]
        asked = f"\n[review]\nrequired = {required}\ndefinition_days = {days}\n[review.reviewers]\n"
        settings.write_text(before + asked + "\n".join(lines) + "\n")

    def decide(
        self,
        town: Town,
        dataset: str,
        period: str | None = None,
        *,
        by: str = "ana",
        decision: DecisionKind = "approved",
        editor: str = "carl",
        key: str = "",
    ) -> str:
        """Sign a decision, without asking and without a push."""
        workspace = find_workspace(town.root)
        who = Reviewer(by, self.folder / f"{key or by}.pem", lambda: PASSPHRASE)
        what = Decided(decision, "It looks right", editor if period is None and decision == "approved" else "")
        return decide(workspace, workspace.dataset(dataset), period, who, what, lambda _: None, push=False)


def statuses(town: Town, dataset: str = "requests") -> list[str]:
    """The status of every release, by period and edition."""
    with opened(find_workspace(town.root)) as catalog:
        return [each.status for each in catalog.standings(dataset)]
