"""Query deadlines: each query has limited time and can be stopped at any moment."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from threading import Condition, Thread, local
from typing import TYPE_CHECKING, NoReturn

from publisher.portal.base import metrics
from publisher.portal.base.problems import SodaError, execution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 20.0
"""How many seconds a query may run before it is stopped."""
_HERE = local()
"""The deadline of the query that runs in this thread; functions that DuckDB calls run in the same thread."""


class Deadline:
    """How long a query may run; call `end` when the client has disconnected."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.ended = False
        self.refusal: SodaError | None = None
        """The error with which one of our own functions stopped the query."""
        self._interrupt: Callable[[], None] | None = None

    def end(self) -> None:
        """Stop the query, now or whenever it would continue."""
        self.ended = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()

    @contextmanager
    def watched(self, interrupt: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Call `interrupt` if the time is over or the client disconnects before the block ends. Raises SodaError.

        Without `interrupt` it is Python that works, and `go_on` that stops it. Blocks may lie in each other.
        """
        outer = self._interrupt, getattr(_HERE, "deadline", None)
        self._interrupt, _HERE.deadline = interrupt, self
        if self.ended:
            interrupt()
        ticket = _CLOCK.enter(time.monotonic() + self.seconds, self.end)
        try:
            with nullcontext() if outer[1] else metrics.QUERIES.track_inprogress():
                yield
        except Exception:
            if self.refusal or self.ended:  # DuckDB has wrapped what our functions raise
                raise self.refusal or too_long() from None
            raise
        finally:
            _CLOCK.leave(ticket)
            self._interrupt, _HERE.deadline = outer


def too_long() -> SodaError:
    """400: the query took too long."""
    return execution("timeout", "The query took too long and was stopped. Use a filter or ask for fewer rows.")


def go_on() -> None:
    """Check between pieces of work that nothing interrupts. Raises SodaError if the query was stopped."""
    deadline = getattr(_HERE, "deadline", None)
    if deadline is not None and deadline.ended:
        raise too_long()


def give_up(error: SodaError) -> NoReturn:
    """Stop the query that runs in this thread with this error."""
    deadline = getattr(_HERE, "deadline", None)
    if deadline is not None:
        deadline.refusal = error
    raise error


class _Clock:
    """One thread that makes all calls that are due; a thread for each query would cost more than a small query does."""

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
        """Cancel the call."""
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
