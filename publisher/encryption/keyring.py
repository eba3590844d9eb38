"""The keys of private folders: which there are, and which the files of a folder were written with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from publisher import durable
from publisher.encryption.key import WorkspaceKey, read_secret
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from publisher.definitions.settings import EncryptionSettings

MARKER = "encryption.json"
"""The file in the private folder that says which keys its files have been written with."""


@dataclass(frozen=True)
class Encryption:
    """The keys of one private folder: the first one writes, all of them read."""

    private: Path
    keys: tuple[WorkspaceKey, ...]
    spills: bool
    """Whether the folder is on an encrypted volume, so that what is temporary may be written there as it is."""

    @property
    def key(self) -> WorkspaceKey:
        """The key that new files are written with."""
        return self.keys[0]

    def named(self, name: str) -> WorkspaceKey:
        """The key of that name. Raises SourceError if it is another one's."""
        for key in self.keys:
            if key.name == name:
                return key
        raise _wrong_key(self.private, name)


_declared: dict[Path, EncryptionSettings | Encryption] = {}
_reading = Lock()


def declare(private: Path, settings: EncryptionSettings | None) -> None:
    """Say how a private folder is encrypted; the key is read when it is first needed."""
    with _reading:
        if settings is None:
            _declared.pop(private, None)
        else:
            _declared[private] = settings


def taken() -> tuple[Encryption, ...]:
    """The keys that this process has, for a worker of its own on this machine."""
    return tuple(found for private in list(_declared) if (found := of(private)) is not None)


def give(keys: Iterable[Encryption]) -> None:
    """Take the keys of the process that has started this one."""
    with _reading:
        _declared.update({each.private: each for each in keys})


def of(path: Path) -> Encryption | None:
    """How a file in a private folder is encrypted; None if it is not. Raises SourceError without the key."""
    if not _declared:
        return None
    with _reading:
        private = next((each for each in _declared if path.is_relative_to(each)), None)
        return _read(private, _declared[private]) if private is not None else None


def required(path: Path) -> Encryption:
    """The same of an encrypted file. Raises SourceError where publisher.toml names no key."""
    found = of(path)
    if found is None:
        raise SourceError(
            f"{path}: is encrypted, and publisher.toml does not say where its key is: put [encryption] back"
        )
    return found


def _read(private: Path, settings: EncryptionSettings | Encryption) -> Encryption:
    if isinstance(settings, Encryption):
        return settings
    sources = (settings.key, *([settings.previous] if settings.previous is not None else ()))
    keys = tuple(WorkspaceKey(read_secret(each, private)) for each in sources)
    found = _declared[private] = Encryption(private, keys, settings.spill == "encrypted-volume")
    return found


def anywhere() -> bool:
    """Whether this process works with an encrypted folder."""
    return bool(_declared)


def refuse_other_key(private: Path) -> None:
    """Raise SourceError, before anything is read or charged, unless the keys are those that the files of a private
    folder were written with."""
    known, _ = _marked(private)
    found = of(private) if private in _declared else None
    if found is None and known:
        raise SourceError(
            f"{private} is encrypted, and publisher.toml does not say where its key is: put [encryption] back. "
            "Nothing was read or charged"
        )
    names = [each.name for each in found.keys] if found is not None else known
    for name in known:
        if name not in names:
            raise _wrong_key(private, name)


def check(private: Path) -> None:
    """The same, and remember the key that new files get."""
    refuse_other_key(private)
    found = of(private) if private in _declared else None
    known, _ = _marked(private)
    if found is not None and found.key.name not in known:
        remember(private, keys=[*known, found.key.name])


def remember(private: Path, *, keys: Sequence[str] | None = None, renewed: Mapping[str, str] | None = None) -> None:
    """Write down, durably, with which keys the files of a private folder may have been written, or of which sources all
    files have which key."""
    known, before = _marked(private)
    content = {"keys": known if keys is None else list(keys), "renewed": {**before, **(renewed or {})}}
    durable.write_file(private / MARKER, json.dumps(content, indent=2).encode() + b"\n", mode=0o600)


def renewed(private: Path) -> dict[str, str]:
    """The key of sources whose files all have the same."""
    return _marked(private)[1]


def _marked(private: Path) -> tuple[list[str], dict[str, str]]:
    path = private / MARKER
    try:
        says = json.loads(path.read_bytes())
        return [str(name) for name in says["keys"]], {str(k): str(v) for k, v in says["renewed"].items()}
    except FileNotFoundError:
        return [], {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None


def _wrong_key(private: Path, name: str) -> SourceError:
    return SourceError(
        f"{private}: files were encrypted with the key {name}, which is neither the key of [encryption] in "
        "publisher.toml nor its previous one: give that key. Nothing was read or charged"
    )
