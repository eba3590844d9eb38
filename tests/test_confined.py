"""Work in a child with limits gives its result, or the reason why there is none."""

from __future__ import annotations

import os
import resource
import time

import pytest

from publisher import confined

pytestmark = pytest.mark.usefixtures("processes")

SPACE = 1 << 29


def answer(*arguments: object) -> object:
    """The arguments, the limits, and the number of the process."""
    return [*arguments, resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CORE), os.getpid()]


def fill() -> int:
    """More memory than there is."""
    return len(bytearray(2 * SPACE))


def abort() -> None:
    """What a reader written in Rust does without memory."""
    os.abort()


def wait() -> None:
    """Longer than allowed, without working."""
    time.sleep(60)


def fail() -> None:
    """A fault whose message quotes a record."""
    raise ValueError("canary-7391")


def test_the_result_comes_from_another_process_with_limits() -> None:
    """Arguments and results are JSON; the child has so much memory and leaves no core dump."""
    *arguments, space, core, process = confined.run(answer, "a", None, 7, memory=SPACE, seconds=30)
    assert (arguments, space, core) == (["a", None, 7], [SPACE, SPACE], [0, 0])
    assert process != os.getpid()


@pytest.mark.parametrize(("function", "reason"), [(fill, "memory"), (abort, "memory"), (wait, "time"), (fail, "fault")])
def test_a_child_that_gives_no_result_says_why(
    function: object, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Memory, time, or a fault, and nothing that it has printed."""
    with pytest.raises(confined.StoppedError, match=f"^{reason}$"):
        confined.run(function, memory=SPACE, seconds=3)  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
