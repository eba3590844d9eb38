"""Stand-in meter readings in the layout of the Alicante file, including its faults."""

from __future__ import annotations

import uuid
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from publisher.sample.clock import DAY, Clock
from publisher.sample.csvfile import lines, write_lines
from publisher.sample.texts import numbers, pick

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

HEADER = "user key;datetime;meter reading;diff"
FIRST, DAYS = date(2016, 3, 1), 365
PER_DAY = 2
"""Readings per day: the real feed has 24."""
JUMP = 248_500
"""Liters that a faulty register jumps up by, and back with the next reading."""


def write_meters(folder: Path, rows: int, seed: int) -> None:
    """Write a year of readings for one account per hundred `rows`, 100 to 2,000 accounts."""
    rng = np.random.default_rng([seed, 4])
    accounts = min(max(rows // 100, 100), 2000)
    seconds = _times(accounts, rng)
    register = _registers(accounts, rng)
    account = np.repeat(np.arange(accounts), DAYS * PER_DAY)
    kept = _kept(len(account), rng)
    account, seconds, register = account[kept], seconds[kept], register[kept]
    diff = np.diff(register, prepend=register[0])
    diff[np.flatnonzero(np.diff(account)) + 1] = 0
    keys = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(accounts)]
    clock = Clock(FIRST, DAYS, "%d/%m/%Y")
    (folder / "alicante-water").mkdir()
    path = folder / "alicante-water" / "swm_trialA.csv.gz"
    columns = [pick(keys, account), clock.plain(seconds), numbers(register), numbers(diff)]
    write_lines(path, HEADER, lines(columns, ";"))


def _times(accounts: int, rng: Generator) -> Ints:
    """Seconds after the first midnight, account by account, in order, never on the hour."""
    step = DAY // PER_DAY
    slots = np.tile(np.arange(DAYS * PER_DAY), accounts)
    times: Ints = slots * step + rng.integers(0, step, len(slots))
    return times


def _registers(accounts: int, rng: Generator) -> Ints:
    """Registers in liters: households differ, use more in summer and are away at times; a few meters fail."""
    shape = (accounts, DAYS * PER_DAY)
    day = np.arange(shape[1]) / PER_DAY
    daily = rng.lognormal(5.4, 0.5, (accounts, 1)) * (1 + 0.2 * np.sin((day - 40) / 58))
    used = rng.gamma(2.0, daily / PER_DAY / 2)
    away = (day[None, :] - rng.uniform(0, DAYS, (accounts, 1))) % DAYS < rng.integers(0, 25, (accounts, 1))
    register = np.cumsum(np.where(away, 0, used), axis=1) + rng.integers(0, 400_000, (accounts, 1))
    jumps = rng.random(shape) < 0.0001
    new = np.arange(accounts) % 97 == 11  # the meter was replaced: the register starts again
    changed = new[:, None] & (day > 200)
    register -= np.where(changed, register.max(axis=1, where=~changed, initial=0)[:, None], 0)
    whole: Ints = (register + JUMP * jumps).round().astype(np.int64).ravel()
    return whole


def _kept(size: int, rng: Generator) -> Ints:
    """Indexes of the readings that arrived: some never did, some came twice."""
    arrived = np.flatnonzero(rng.random(size) > 0.02)
    again = rng.choice(arrived, max(size // 10_000, 1), replace=False)
    kept: Ints = np.sort(np.concatenate([arrived, again]))
    return kept
