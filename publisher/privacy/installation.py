"""Who made a charge: every state folder has its own id, so that two never draw for the same charge."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

from publisher.durable import write_once, writing
from publisher.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_FORM = re.compile(rb"[0-9a-f]{32}\n")


def owner_of(private: Path) -> str:
    """The id of the state folder: 32 random hex digits, made once, not a secret. Raises SourceError when damaged.

    A folder that has none and cannot be written has no id: nothing can be charged from there.
    """
    path = private / "owner"
    if not path.exists() and not os.access(private, os.W_OK):
        return ""
    with writing(path):
        if not path.exists():
            write_once(path, f"{secrets.token_hex(16)}\n".encode())
        content = path.read_bytes()
    if not _FORM.fullmatch(content):
        raise SourceError(f"{path}: the installation's id is damaged: restore this file from a backup")
    return content.decode().strip()
