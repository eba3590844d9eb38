"""Releases are judged the same in a process of its own, which is ready when they are, and which may end at any time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from release_examples import contents, drawn, rich

from publisher.errors import DefinitionError, SourceError
from publisher.release.judging import JudgingProcess, judging
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

pytestmark = [pytest.mark.usefixtures("processes"), pytest.mark.xdist_group("expectations")]

SUITE = (
    '{"expectations": [{"type": "expect_column_sum_to_be_between", "kwargs": {"column": "requests", "max_value": %s}}]}'
)


class Suites:
    """Where the suites of a test are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def test_a_process_judges_as_this_one_does(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process answers for several releases: passed, held with the same words, a wrong suite, and a file that is
    missing; when it is ended, the next release is judged here."""
    monkeypatch.delitem(sys.modules, "great_expectations", raising=False)
    dataset, suites = rich(town).dataset_file(), Suites(tmp_path)
    release = ReleaseStore(tmp_path / "public", tmp_path / "private").write(
        *contents(dataset, drawn(dataset, "2020-01", start=10), period="2020-01")
    )
    with judging() as process:
        assert isinstance(process, JudgingProcess)
        process.begin()
        assert "great_expectations" not in sys.modules
        started = process._process
        assert process.judge(release, dataset, suites, None).passed
        suites(dataset.name).write_text(SUITE % "1")
        held = process.judge(release, dataset, suites, None)
        suites(dataset.name).write_text(SUITE % '"x')
        with pytest.raises(DefinitionError, match="is not valid JSON"):
            process.judge(release, dataset, suites, None)
        suites(dataset.name).unlink()
        data = release.data.read_bytes()
        release.data.unlink()
        with pytest.raises(SourceError, match="restore it"):
            process.judge(release, dataset, suites, None)
        release.data.write_bytes(data)
        assert started is not None
        assert started.poll() is None
        assert "great_expectations" not in sys.modules
        started.kill()
        started.wait()
        assert process.judge(release, dataset, suites, None).passed
        suites(dataset.name).write_text(SUITE % "1")
        here = process.judge(release, dataset, suites, None)
        assert (held.passed, held.words, held.suite_sha256) == (False, here.words, here.suite_sha256)


def test_half_an_answer_is_none(town: Town, tmp_path: Path) -> None:
    """Where the process is ended while it answers, the release is judged here."""
    dataset = rich(town).dataset_file()
    release = ReleaseStore(tmp_path / "public", tmp_path / "private").write(
        *contents(dataset, drawn(dataset, "2020-01", start=10), period="2020-01")
    )
    half = "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(('validation', 'a' * 99))[:50])"
    with judging() as process:
        assert isinstance(process, JudgingProcess)
        process._process = subprocess.Popen([sys.executable, "-c", half], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.judge(release, dataset, Suites(tmp_path), None).passed


def test_it_ends_with_the_run() -> None:
    """Whatever a run ends with, the process ends with it; where all is imported, none is started."""
    code = (
        "import os, sys; from publisher.release.judging import judging\n"
        "with judging() as one:\n"
        "    one.begin(); print(one._process.pid, flush=True)\n"
        "    if sys.argv[1:]: os._exit(1)\n"
        "sys.modules['great_expectations'] = sys\n"
        "with judging() as one:\n"
        "    one.begin(); assert one._process is None\n"
    )
    for how in ([], ["at once"]):
        done = subprocess.run([sys.executable, "-c", code, *how], capture_output=True, text=True, check=False)
        assert done.returncode == len(how), done.stderr
        subprocess.run(["tail", "-s", "0.1", "--pid", done.stdout.strip(), "-f", "/dev/null"], check=True, timeout=60)
