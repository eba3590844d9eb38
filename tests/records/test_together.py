"""What many landings leave is brought together in few files: the same batches and counts, whatever is interrupted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from invented import HEADER, City

from publisher.errors import SourceError
from publisher.records import batch, report
from publisher.records.batch import BatchStore

if TYPE_CHECKING:
    from collections.abc import Callable


class KilledError(BaseException):
    """The process ends here."""


def _landed(city: City, *numbers: int) -> City:
    """A file of one record each, landed one after another."""
    for number in numbers:
        city.put(f"{HEADER}\n{number},a,2018-01-0{number},x,y\n", f"raw/{number}.csv")
        city.land()
    return city


def _batches(city: City) -> tuple[batch.Batch, ...]:
    return BatchStore(city.private, "requests").batches()


def _names(city: City, pattern: str) -> list[str]:
    return sorted(path.name for path in city.private.glob(pattern))


def _killed_at(number: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Whether the work is killed before it removes so many files."""
    left, unlink = [number], Path.unlink

    def removing(path: Path, *, missing_ok: bool = False) -> None:
        if path.suffix == ".json":
            left[0] -= 1
            if not left[0]:
                raise KilledError
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", removing)
        try:
            work()
        except KilledError:
            return True
    return False


def test_many_batches_are_said_in_one_file(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before any file is removed, all batches are as before; a change of one, and one that is dropped and comes
    again, count; the rows stay."""
    before, rows = _batches(_landed(city, 1, 2, 3)), city.rows()
    monkeypatch.setattr(batch, "_MANY", 1)
    for moment in (1, 2, 1):
        assert _killed_at(moment, monkeypatch, city.land)
        assert (_batches(city), city.rows()) == (before, rows)
    city.land()
    assert _names(city, "landed/requests/*.json") == ["batches.json"]
    assert not _names(city, "landed/requests/*/batch.json")
    assert (_batches(city), city.rows()) == (before, rows)
    store = BatchStore(city.private, "requests")
    store.drop(before[2])
    assert _batches(city) == before[:2]
    store.rewrite(replace(before[0], file="raw/other.csv"))
    assert _batches(city)[0].file == "raw/other.csv"
    assert city.land().new == 1
    assert ({each.batch for each in _batches(city)}, city.rows()) == ({each.batch for each in before}, rows)


def test_a_batch_of_which_nothing_is_said_is_no_batch_that_never_was(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records would silently not count: it is named, in landing and in reading."""
    _landed(city, 1, 2)
    monkeypatch.setattr(batch, "_MANY", 1)
    city.land()
    together = city.private / "landed" / "requests" / "batches.json"
    said = together.read_bytes()
    for content, words in ((None, "batch.json: is missing: remove its folder and land"), (b"{", "is damaged")):
        together.unlink() if content is None else together.write_bytes(content)
        for act in (city.land, city.rows):
            with pytest.raises(SourceError, match=words):
                act()
    together.write_bytes(said)
    assert len(city.rows()) == 2


def test_reports_of_months_that_are_over_are_one_file(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says of each batch what the newest report said, also if it is interrupted; a damaged report stays."""
    _landed(city, 1, 2, 3)
    folder = city.private / "reports" / "requests"
    (path,) = (each for each in folder.glob("*.json") if "raw/1.csv" in each.read_text())
    again = json.loads(path.read_text())
    again["batches"][0]["landed"] = 99
    newer = folder / path.name.replace("landing-", "counted-")
    newer.write_text(json.dumps(again))
    (folder / "landing-0.json").write_text("{")
    for day, name in enumerate(sorted(_names(city, "reports/requests/*"), key=lambda name: name == newer.name), 1):
        moment = datetime(2017, 5, day, tzinfo=UTC).timestamp()
        os.utime(folder / name, (moment, moment))
    wanted = report.reported(city.private, "requests")
    assert [each.landed for each in wanted.values()].count(99) == 1
    now = datetime(2018, 1, 1, tzinfo=UTC)
    for number in (1, 2, 2, 1):
        assert _killed_at(number, monkeypatch, lambda: report.gather(city.private, "requests", now))
        assert report.reported(city.private, "requests") == wanted
    report.gather(city.private, "requests", now)
    assert _names(city, "reports/requests/*") == ["landing-0.json", "months-2017-05.json"]
    assert report.reported(city.private, "requests") == wanted
    _landed(city, 4)
    assert len(_names(city, "reports/requests/landing-*")) == 2
    assert len(report.reported(city.private, "requests")) == 4
