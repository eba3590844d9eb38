"""What people do with releases after a run: check them again, accept, retract, restore, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.commands.terminal import say
from publisher.definitions import period as civil
from publisher.errors import DefinitionError, HeldError, PublisherError
from publisher.pipeline.decisions import public_reason
from publisher.pipeline.job import Job
from publisher.pipeline.publish import check
from publisher.pipeline.schedules import refresh_schedule
from publisher.pipeline.session import locked
from publisher.pipeline.totals import refresh_totals
from publisher.push.sync import deliver, portal_of
from publisher.release.judging import Judging
from publisher.run import refresh_analyst_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.release.manifest import Release
    from publisher.release.validation import Validation
    from publisher.workspace import DatasetFile, Workspace


def revalidate(workspace: Workspace, datasets: Sequence[DatasetFile]) -> Iterator[tuple[str, bool]]:
    """Check every held or unchecked release again; yields (a line, whether it passed)."""
    with locked(workspace) as catalog:
        for dataset in datasets:
            for standing in catalog.standings(dataset.name):
                if standing.status in ("held", "unchecked"):
                    yield _again(workspace, catalog, dataset, standing)
            refresh_totals(workspace, catalog, dataset)
            refresh_schedule(workspace, catalog, dataset)
        refresh_analyst_file(workspace, catalog)


def _again(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, standing: Standing) -> tuple[str, bool]:
    release = standing.release
    validation = check(_job(workspace, catalog, dataset, release), release, Judging())
    words = "passed" if validation.passed else f"held: {'; '.join(validation.words)}"
    return f"{release.manifest.name}: {words}", validation.passed


def _job(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, release: Release) -> Job:
    return Job(workspace, catalog, dataset, civil.parse(release.manifest.period), "")


def accept(
    workspace: Workspace, dataset: DatasetFile, period: str, reason: str, agree: Callable[[str], None], *, push: bool
) -> str:
    """Let the newest held edition of the period be published for a reason that everyone can read; nothing is drawn.

    It is checked again first. `agree` asks a person and raises if they do not want to go on. Raises DefinitionError if
    no edition is held, HeldError if what failed is not a judgment of people.
    """
    reason = public_reason(reason)
    with locked(workspace) as catalog:
        standings = [each for each in catalog.standings(dataset.name) if each.release.manifest.period == period]
        held = [each.release for each in standings if each.status in ("held", "unchecked")]
        if not held:
            raise DefinitionError(
                f"{dataset.name}: no release of {period} is held; `publisher releases` shows each status"
            )
        chosen = held[-1]
        name, validation = chosen.manifest.name, check(_job(workspace, catalog, dataset, chosen), chosen, Judging())
        if not validation.passed:
            _refuse_unacceptable(name, validation)
            agree(f"{name} is held: {'; '.join(validation.words)}. Accept and publish it because {reason!r}?")
            catalog.accept(chosen, validation, reason)
        done = f"{name}: {'passes now' if validation.passed else 'accepted'}; {_now_current(catalog, chosen)}"
        if catalog.standing(chosen).status == "waiting for approval":
            done += f"; it waits for approval: `publisher review {dataset.name} {period}`"
        bring_up_to_date(workspace, catalog, dataset, done, push=push)
        return done


def _refuse_unacceptable(name: str, validation: Validation) -> None:
    wrong = [failure.words for failure in validation.failures if not failure.acceptable]
    if wrong:
        raise HeldError(
            f"{name} cannot be accepted: {'; '.join(wrong)}. Only what people expect in expectations/ and the "
            f"comparison with the last release can be accepted."
        )


def rollback(
    workspace: Workspace, dataset: DatasetFile, period: str | None, reason: str, *, undo: bool, push: bool
) -> str:
    """Retract the current edition (of the period) released last, or restore the one retracted last; says which edition
    is current now. Everyone can read the reason."""
    reason = public_reason(reason)
    with locked(workspace) as catalog:
        wanted = "retracted" if undo else "ready"
        found = [
            each.release
            for each in catalog.standings(dataset.name)
            if each.status == wanted and period in (None, each.release.manifest.period)
        ]
        if not found:
            of_period = f" of {period}" if period else ""
            words = f"no release{of_period} is {'retracted' if undo else 'current'}"
            raise DefinitionError(f"{dataset.name}: {words}; `publisher releases` shows each status")
        chosen = catalog.newest(dataset.name, found, retracted=undo)
        catalog.retract(chosen, reason, undo=undo)
        done = f"{chosen.manifest.name}: {'restored' if undo else 'retracted'}; {_now_current(catalog, chosen)}"
        bring_up_to_date(workspace, catalog, dataset, done, push=push)
        return done


def bring_up_to_date(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, done: str, *, push: bool) -> None:
    """Bring all that people read up to what is current now. What is `done` stays done, and no fault of one of these
    keeps the others from what was retracted. Raises the first fault."""
    steps: list[Callable[[], object]] = [
        lambda: refresh_totals(workspace, catalog, dataset),
        lambda: refresh_schedule(workspace, catalog, dataset),
        lambda: refresh_analyst_file(workspace, catalog),
    ]
    if push:
        steps.append(lambda: _deliver(workspace, catalog, dataset))
    faults: list[PublisherError] = []
    for step in steps:
        try:
            step()
        except PublisherError as error:
            faults.append(error)
    if faults:
        words = "; ".join(dict.fromkeys(map(str, faults)))
        raise type(faults[0])(f"{done}. But not all of what people read could be brought up to that: {words}")


def _deliver(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> None:
    with portal_of(workspace) as client:
        deliver(workspace, catalog, client, dataset, lambda words: say(words, err=True))


def _now_current(catalog: Catalog, release: Release) -> str:
    says = release.manifest
    current = [each for each in catalog.current(says.dataset) if each.manifest.period == says.period]
    now = f"edition {current[-1].manifest.edition} is current" if current else "no edition is current"
    return f"{says.period}: {now}"
