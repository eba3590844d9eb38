"""Where releases are judged: here, or in a process that gets ready for it while records are read.

Great Expectations takes seconds to import. The process sees what the release has: public tables and definitions.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from publisher import confined
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.release.manifest import Release
    from publisher.release.validation import Validation
    from publisher.workspace import DatasetFile

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from publisher.release import judging; judging.serve()"
)
_ERRORS: dict[str, type[DefinitionError | SourceError]] = {"definition": DefinitionError, "source": SourceError}


class Judging:
    """Judges releases in this process."""

    def begin(self) -> None:
        """Get ready: a release will be judged soon."""

    def judge(
        self, release: Release, dataset: DatasetFile, suite: Callable[[str], Path], previous: Release | None
    ) -> Validation:
        """As `publisher.release.acceptance.judge` does. Raises DefinitionError and SourceError."""
        from publisher.release.acceptance import judge

        return judge(release, dataset, suite, previous)


class JudgingProcess(Judging):
    """Judges releases in a process of its own; where that has ended, in this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process, unless this one has everything imported already."""
        if self._process is None and "great_expectations" not in sys.modules:
            self._process = subprocess.Popen(  # its libraries say what they like, which is for nobody
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=confined.without_secrets(os.environ),
            )

    def judge(
        self, release: Release, dataset: DatasetFile, suite: Callable[[str], Path], previous: Release | None
    ) -> Validation:
        """What the process answers."""
        try:
            kind, found = self._asked((release, dataset, suite, previous))
        except (EOFError, OSError, pickle.UnpicklingError):  # there is none, or it was ended, perhaps while it answered
            return super().judge(release, dataset, suite, previous)
        if kind in _ERRORS:
            raise _ERRORS[kind](found)
        validation: Validation = found
        return validation

    def close(self) -> None:
        """End the process, which has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _asked(self, question: tuple[object, ...]) -> tuple[str, Any]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise EOFError
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        answer: tuple[str, Any] = pickle.load(self._process.stdout)  # noqa: S301 - our own process
        return answer


@contextmanager
def judging() -> Iterator[Judging]:
    """A process for the length of a run."""
    process = JudgingProcess()
    try:
        yield process
    finally:
        process.close()


def serve() -> None:
    """The process: import first, then answer until the questions end."""
    confined.no_core_dumps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it decides
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        from publisher.release.validation import get_ready

        get_ready()
        _answer(sys.stdin.buffer, answers)


def _answer(questions: IO[bytes], answers: IO[bytes]) -> None:
    from publisher.release.acceptance import judge

    while True:
        try:
            question = pickle.load(questions)  # noqa: S301 - from the process that started this one
        except EOFError:
            return
        answer: tuple[str, object]
        try:
            answer = "validation", judge(*question)
        except DefinitionError as error:
            answer = "definition", str(error)
        except SourceError as error:
            answer = "source", str(error)
        pickle.dump(answer, answers)
        answers.flush()
