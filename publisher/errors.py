"""The errors that stop publisher. Each has its exit code; no message ever shows a record's value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class PublisherError(Exception):
    """Something a person can fix; the message says what and where."""

    exit_code = 1


class DefinitionError(PublisherError):
    """A definition or a command line is wrong."""

    exit_code = 2


class HeldError(PublisherError):
    """A release failed its expectations and is held for a person."""

    exit_code = 3


class ApprovalError(HeldError):
    """A definition waits for the approval of its reviewers; nothing was charged."""


class BudgetError(PublisherError):
    """The privacy budget does not allow the release, or the ledger does not verify."""

    exit_code = 4


class SourceError(PublisherError):
    """Raw data is missing, unreadable or not as declared; or the state folder cannot be written."""

    exit_code = 5


REFUSED = "refused at landing"
"""All that anyone but the person who lands may learn of a refusal: whether there is one depends on the records."""


class RefusedAtLandingError(SourceError):
    """A file is beyond what its source accepts. Only `private` says which, how much and why."""

    def __init__(self, source: str, reports: Path, private: str) -> None:
        self.source = source
        super().__init__(f"{source}: {REFUSED}. Nothing was charged. The reasons are private, in {reports}")
        self.private = private


PURGED = "not released: its records were purged under the retention schedule"
"""All that is said of a period whose records are gone."""


class PurgedError(SourceError):
    """What is asked for needs records that were purged; nothing was read or charged."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: {PURGED}. Nothing was read or charged.")


class PortalError(PublisherError):
    """The portal cannot be reached, refused a write, or does not have what was sent."""

    exit_code = 6


class NoticeError(PublisherError):
    """A notice could not be sent."""

    exit_code = 6


class LockedError(PublisherError):
    """Another run holds the lock of this workspace."""

    exit_code = 75


FAULT = 70
"""The exit code for a bug in publisher itself (EX_SOFTWARE)."""

STOPPED = 130
"""The exit code after Ctrl-C, or a "no" to a question."""

UNREAD = 141
"""The exit code when the program reading the output, such as `head`, has stopped."""
