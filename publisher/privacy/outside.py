"""The ledger's head outside the state folder: a restored or copied state folder meets it, and it says who may draw.

`<heads>/<id of the state folder>/head` has the newest entry, and a token for each charge whose draw was begun and is
not recorded yet. It changes by one rename under a lock, and only if the ledger holds the entry that it names and this
folder holds the token (compare-and-swap). The state folder's copies of its tokens are in `private/draws.json`.

`<heads>/places/<hash of the state folder's path>` has the id of the state folder that was there last, so that one which
is deleted, and another that takes its place, are found.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from publisher.durable import prepare, remove_unfinished, sync, write_file
from publisher.errors import BudgetError
from publisher.privacy.chain import Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from publisher.privacy.chain import Entry


@dataclass
class Turn:
    """The outside head while no one else can change it; everything that can fail does so in `prepare`."""

    path: Path | None
    _held: Path
    sequence: int = 0
    """The entry that it names; zero if there is none yet."""
    hash: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    """By the hash of a charge whose draw was begun."""
    _prepared: Path | None = None

    @property
    def heads(self) -> list[Head]:
        """What it remembers, if anything."""
        return [Head(str(self.path), self.sequence, self.hash)] if self.sequence else []

    def begin(self, charge: Entry) -> None:
        """Exchange the token of a charge's draw for a new one. Raises BudgetError when another copy has exchanged it.

        Only one copy of a state folder can: the others still have the token from before, or none.
        """
        if self.path is None:
            return
        held, now = _held(self._held), self.tokens.get(charge.hash, "")
        if now and now not in held.get(charge.hash, ()):
            says = charge.payload
            raise BudgetError(
                f"{says['dataset']} {says['period']}: its draw was begun by another copy of this state folder, which "
                f"may have finished it: release it there. If that copy is gone and published nothing of it, delete "
                f"{self.path} and run again. Nothing was drawn here."
            )
        new = secrets.token_hex(16)
        # The new one first: after a crash, either of the two is this folder's.
        kept = {hash_: tokens for hash_, tokens in held.items() if hash_ in self.tokens}
        _keep(self._held, kept | {charge.hash: (now, new)})
        self.tokens[charge.hash] = new

    def prepare(self, head: Entry | None, *, drawn: str = "") -> None:
        """Write what it will say: the entry, if any, as its head; `drawn` is a charge whose draw is recorded."""
        if self.path is None:
            return
        if head is not None:
            self.sequence, self.hash = head.sequence, head.hash
        self.tokens.pop(drawn, None)
        content = {"sequence": self.sequence, "hash": self.hash, "draws": self.tokens}
        with _errors(self.path, "Nothing was charged"):
            self._prepared = prepare(self.path, json.dumps(content).encode() + b"\n", mode=0o600)

    def commit(self) -> None:
        """Let it say so."""
        if self.path is None or self._prepared is None:
            return
        with _errors(self.path, "What was charged stays charged, and its draw was not begun"):
            self._prepared.replace(self.path)
            sync(self.path.parent)


class OutsideHead:
    """The head in a folder that belongs to one state folder; without a folder (states that are thrown away) there is
    none, and every draw may begin."""

    def __init__(self, folder: Path | None, private: Path) -> None:
        self.path = folder / "head" if folder is not None else None
        self._held = private / "draws.json"

    def read(self) -> Turn:
        """What it says now. Raises BudgetError when it cannot be read or is damaged."""
        turn = Turn(self.path, self._held)
        if self.path is None:
            return turn
        with _errors(self.path, "Nothing was charged"):
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return turn
        try:
            says = json.loads(content)
            turn.sequence, turn.hash, turn.tokens = int(says["sequence"]), str(says["hash"]), _texts(says["draws"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BudgetError(
                f"{self.path}: is damaged: restore it from a backup. If there is none, delete it once `publisher "
                "verify` finds nothing else wrong; the next run writes it again. Nothing was charged."
            ) from None
        return turn

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """The head, for one writer at a time. Raises BudgetError when its place cannot be read or written."""
        if self.path is None:
            yield self.read()
            return
        with _errors(self.path, "Nothing was charged"):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.parent / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with _errors(self.path, "Nothing was charged"):
                fcntl.flock(lock, fcntl.LOCK_EX)
                remove_unfinished(self.path.parent.glob(".*"))
            yield self.read()
        finally:
            os.close(lock)


def refuse_if_replaced(heads: Path, state: Path, owner: str) -> None:
    """Raise BudgetError if another state folder has spent budget at this path and is gone; else remember this one."""
    place = heads / "places" / hashlib.sha256(os.fsencode(state)).hexdigest()[:32]
    with _errors(place, "Nothing was charged"):
        before = place.read_text().strip() if place.exists() else owner
        # The first entry is the key's fingerprint; whatever was spent comes after it.
        if before != owner and OutsideHead(heads / before, state).read().sequence > 1:
            raise BudgetError(
                f"{state}: another ledger has spent budget in this folder, and is gone: restore the folder from a "
                f"backup, since an empty ledger would spend the same budget again. If you start over on purpose, as in "
                f"a trial, delete {place} and run again. Nothing was charged."
            )
        if before != owner or not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(place, f"{owner}\n".encode(), mode=0o600)


def _held(path: Path) -> dict[str, tuple[str, ...]]:
    """By charge, the tokens that this state folder has; none where the file is missing or damaged."""
    try:
        return {str(charge): tuple(map(str, tokens)) for charge, tokens in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep(path: Path, tokens: Mapping[str, tuple[str, ...]]) -> None:
    write_file(path, json.dumps(tokens).encode() + b"\n", mode=0o600)


def _texts(values: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}


@contextmanager
def _errors(path: Path, consequence: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BudgetError(
            f"{path.parent}: the ledger's head outside the state folder cannot be read or written: "
            f"{error.strerror or 'failed'}. {consequence}. Make this folder writable, or set another one as `heads` in "
            "publisher.toml."
        ) from None
