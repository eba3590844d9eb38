"""A small file system of its own, which can be full or read-only."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Callable[[str], object]]:
    """One at the folder, with options of tmpfs; skips where this user may not mount. Gives a way to mount it anew."""
    folder.mkdir(parents=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield lambda other: subprocess.check_call(["mount", "-o", f"remount,{other}", folder])
    finally:
        subprocess.run(["umount", folder], check=True)
