"""Passwords and tokens, from the environment or a file, where they are needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from publisher.definitions.feed import Secret
    from publisher.workspace import SourceFile

_LONGEST = 10_000


def revealed(source: SourceFile, setting: str, secret: Secret) -> str:
    """The password or token itself, without the blanks around it. Raises SourceError, which never shows it."""
    where = f"{source.origin.name}: feed.{setting}:"
    found, place = content_of(secret, where)
    if not found.isprintable() or not found.isascii():
        raise SourceError(f"{where} {place} has characters that no password or token has: check how it was saved")
    return found


def content_of(secret: Secret, where: str) -> tuple[str, str]:
    """What the variable or the file holds, without the blanks around it, and the name of either; `where` is the setting
    that names it. Raises SourceError, which never shows it."""
    if secret.env is not None:
        found = os.environ.get(secret.env, "").strip()
        if not found:
            raise SourceError(f"{where} {secret.env} is not set: set it in the environment")
        return found, secret.env
    path = Path(secret.file or "")
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST).decode("utf-8")
    except OSError as error:
        raise SourceError(f"{where} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SourceError(f"{where} {path} is not text") from None
    if not content.strip():
        raise SourceError(f"{where} {path} is empty")
    return content.strip(), str(path)
