"""Automatic approval: a dataset's declared conditions, which its reviewers approved, in place of a reviewer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.pipeline.reviews import definition_subject
from publisher.release.changes import changes, most_withheld

if TYPE_CHECKING:
    from publisher.pipeline.job import Job
    from publisher.release.manifest import Release


def approve_if_declared(job: Job, release: Release) -> None:
    """Record the approval of a release that waits for one, if it meets every condition."""
    standing = job.catalog.standing(release)
    if standing.status == "waiting for approval" and not objections(job, release):
        job.catalog.approve_automatically(release)


def objections(job: Job, release: Release) -> list[str]:
    """Why a release needs a reviewer; nothing if it meets every condition of automatic approval."""
    rule, settings = job.dataset.definition.automatic_approval, job.workspace.review
    if rule is None or settings is None:
        return ["no automatic approval is declared"]
    wanted = definition_subject(job.workspace, job.identity)
    if not job.catalog.reviews(job.dataset.name).approved_automatic(wanted, settings, datetime.now(UTC)):
        return ["the definition is not approved with these conditions of automatic approval"]
    says = release.manifest
    if says.statistical_hash not in job.hashes or says.finishing_hash != job.finishing_hash:
        return ["it was made by another definition"]
    return _by_numbers(job, release, float(rule.most_change), float(rule.most_withheld))


def _by_numbers(job: Job, release: Release, most_change: float, most: float) -> list[str]:
    validation = job.catalog.standing(release).validation
    before = job.catalog.compared_with(release)
    if validation is None or not validation.passed:
        return ["it did not pass what is expected of it"]
    if before is None:
        return ["there is no release before it to compare it with"]
    job.catalog.refuse_if_changed(before)
    largest = max((each.margins for each in changes(before, release)), default=0.0)
    withheld = most_withheld(release)
    found = [f"a number differs by {largest:.1f} margins, more than {most_change:g}"] if largest > most_change else []
    return found + ([f"a table withholds {withheld:.0%}, more than {most:.0%}"] if withheld > most else [])
