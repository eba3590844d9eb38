"""Queries under watch: each has its time, and can be ended at any moment."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Condition, Thread, local
from typing import TYPE_CHECKING, NoReturn

from publisher.portal.base import metrics
from publisher.portal.base.problems import SodaError, execution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 20.0
"""How long a query may compute before it is stopped."""
_HERE = local()
"""The patience of the query that runs in this thread: a room computes in its reader's."""


class Deadline:
    """How long one reader's query may compute; `end` when the reader has gone."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.ended = False
        self.refusal: SodaError | None = None
        """Why a function of ours gave the query up."""
        self._interrupt: Callable[[], None] | None = None

    def end(self) -> None:
        """Stop the query, now and whenever it would go on."""
        self.ended = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()

    @contextmanager
    def watched(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call `interrupt` when the time is over or the reader has gone before the block ends. Errors: SodaError."""
        self._interrupt, _HERE.patience = interrupt, self
        if self.ended:
            interrupt()
        ticket = _CLOCK.enter(time.monotonic() + self.seconds, self.end)
        try:
            with metrics.QUERIES.track_inprogress():
                yield
        except Exception:
            if self.refusal or self.ended:  # DuckDB has wrapped what our functions raise
                raise self.refusal or too_long() from None
            raise
        finally:
            _CLOCK.leave(ticket)
            self._interrupt = _HERE.patience = None


def too_long() -> SodaError:
    """400: the query's time is over."""
    return execution("timeout", "The query took longer than a query may")


def go_on() -> None:
    """Asked between pieces of work that DuckDB cannot interrupt. Errors: SodaError where the query was ended."""
    patience = getattr(_HERE, "patience", None)
    if patience is not None and patience.ended:
        raise too_long()


def give_up(error: SodaError) -> NoReturn:
    """End the query that runs in this thread with this error."""
    patience = getattr(_HERE, "patience", None)
    if patience is not None:
        patience.refusal = error
    raise error


class _Clock:
    """One thread that calls what is overdue; a thread for each query would cost more than a small query does."""

    TICK = 0.25

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[float, Callable[[], None]]] = {}
        self._changed = Condition()
        self._last = 0
        self._thread: Thread | None = None

    def enter(self, when: float, call: Callable[[], None]) -> int:
        """Have `call` called at `when` (monotonic seconds) or up to a quarter of a second later."""
        with self._changed:
            self._last += 1
            self._waiting[self._last] = (when, call)
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, daemon=True, name="query-clock")
                self._thread.start()
            elif len(self._waiting) == 1:
                self._changed.notify()
            return self._last

    def leave(self, ticket: int) -> None:
        """No longer wait."""
        with self._changed:
            self._waiting.pop(ticket, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                now = time.monotonic()
                due = [call for when, call in self._waiting.values() if when <= now]
            for call in due:
                call()
            time.sleep(self.TICK)


_CLOCK = _Clock()
