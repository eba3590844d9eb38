"""The faults that the audit's trials plant fit the code as it is: known before the trials, which take minutes, run."""

from __future__ import annotations

import ast

import pytest
from planting import FAULTS, changed, patched


@pytest.mark.parametrize("fault", sorted(path.stem for path in FAULTS.glob("*.patch")))
def test_every_fault_fits_the_code(fault: str) -> None:
    """Each diff applies to the package as it is, and what it makes is still Python."""
    files = changed(fault)
    assert files
    for name, text in files.items():
        ast.parse(text, name)


def test_a_diff_that_does_not_fit_is_refused() -> None:
    """A hunk whose lines are not there, or stand there twice, is an error and no silent pass."""
    hunk = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert patched("a\nb\nd\n", hunk) == "a\nc\nd\n"
    for text in ("a\nx\nd\n", "a\nb\na\nb\n"):
        with pytest.raises(AssertionError):
            patched(text, hunk)
