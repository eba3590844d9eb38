"""Attacks on what is published, at length: how often each attacker is right, beside the guarantee's own odds.

    python benchmarks/attacks.py [--trials 300000] [--finished 50000] [--keys 200000]

An invented town is released by the real command; every bound is read from the guarantee of a release. Attack 3 runs on
the real records in PUBLISHER_DATA where they stand: it prints rates alone. Prints a table, and exits with 1 where an
attack passes its bound or a weakened publisher is not beaten. docs/attacks.md explains it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "trials"))

import attacks_cases as attack
from apart import DATA
from attacks_files import drawn_again, life, structure
from attacks_model import mechanisms_in
from attacks_town import Town, build, command, real_targets
from host import hosted

from publisher.pipeline.charges import selection_of
from publisher.privacy.selection import selection_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attacks_cases import Line

REAL = {"stlouis-requests": "2018-W03", "boston-requests": "2015-03"}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300_000, help="releases of the attacks on measurements")
    parser.add_argument("--finished", type=int, default=50_000, help="releases of the attacks on published tables")
    parser.add_argument("--keys", type=int, default=200_000, help="keys that one unit alone brought in")
    chosen = parser.parse_args()
    begun, failed = time.perf_counter(), []
    print(
        "| attack | attacker | | right | 99 % interval | best possible | allowed | |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        for line in lines(Path(folder), chosen.trials, chosen.finished, chosen.keys):
            failed += [] if line.holds else [line]
            print(words(line), flush=True)
    print(f"\n{len(failed)} lines are not as they should be; {time.perf_counter() - begun:.0f} s")
    sys.exit(bool(failed))


def words(line: Line) -> str:
    """A line of the table, in Markdown."""
    digits = 6 if line.attack.startswith("7") else 4
    low, high = line.success.interval()
    best = "" if line.best is None else f"{line.best:.{digits}f}"
    rate, between, bound = f"{line.success.rate:.{digits}f}", f"{low:.{digits}f}–{high:.{digits}f}", line.bound
    verdict = ("beaten" if line.kind == "control" else "holds") if line.holds else "FAILS"
    parts = (line.attack, line.attacker, line.kind, rate, between, best, f"{bound:.{digits}f}", verdict)
    return f"| {' | '.join(parts)} |"


def lines(folder: Path, trials: int, finished: int, keys: int) -> Iterator[Line]:
    """Every attack, in order."""
    with hosted(folder / "host") as host:
        os.environ.update(host.environment)
        town = build(folder / "town", host.url)
        command(town, "run", "--no-push")
        found = attack.cases(town)
        yield from editions(town.copy(folder / "changed"), found["small"], host.url, trials)
    yield from averages(found["small"], trials)
    for name, case in found.items():
        yield from attack.differencing(case, trials // 4 if name == "months" else trials)
    yield attack.unpaid_levels(found["small"], trials // 4)
    yield from (attack.published_tables(found[name], finished) for name in ("small", "sole", "meter"))
    yield from real(folder, trials, finished // 6)
    yield from withheld(found["small"], finished)
    yield from attack.post_processing(found["small"], found["sole"], found["person"], finished)
    compare(town, folder)
    selections = selection_for(1, Fraction(1, 20), Fraction(1, 1000)), selection_of(town.workspace.dataset("reports"))
    yield from chain.from_iterable(attack.unique_keys(each, keys) for each in selections if each is not None)


def editions(town: Town, case: attack.Case, url: str, trials: int) -> Iterator[Line]:
    """Every copy of every number that the town ever showed; then a second draw."""
    copies = life(town, command, url)
    note(f"{copies.total} copies of {len(copies.seen)} numbers were read; the most values of one: {copies.most_values}")
    drawn_again(town, command)
    says = town.guarantee("calls", 4)
    yield attack.two_draws(case, mechanisms_in(says), says["odds"]["budget"]["guess_at_most"], trials)


def averages(case: attack.Case, trials: int) -> Iterator[Line]:
    """What averaging brings."""
    same, anew = attack.shrinkage(case, 5_000)
    note(f"variance of an average of ten, as a part of that of one: ten editions {same:.3f}, ten draws {anew:.3f}")
    yield from chain(attack.averaging(case, trials), attack.vintages(case, trials // 2))


def withheld(case: attack.Case, releases: int) -> Iterator[Line]:
    """What totals give back of a withheld cell."""
    for complementary in (False, True):
        found, made = attack.recovery(case, releases, complementary=complementary)
        note(
            f"withheld in {found.withheld:.1%} of releases, of which {found.recovered:.1%} recovered"
            + ("" if complementary else f", {found.exactly:.1%} exactly; {found.distance:.3f} σ from the true number")
        )
        yield from made


def real(folder: Path, trials: int, releases: int) -> Iterator[Line]:
    """Records drawn at random from the real ones, everybody else's rows being public."""
    for dataset, period in REAL.items():
        if not (DATA / dataset.replace("requests", "311")).is_dir():
            note(f"{dataset}: the real records are not in {DATA}: set PUBLISHER_DATA")
            continue
        says, targets = real_targets(folder / dataset, DATA, command, dataset, period, 1)
        for target in targets:
            yield from attack.linking(attack.Case(dataset, target, attack.allowed(says)), trials, releases)


def compare(town: Town, folder: Path) -> None:
    """The town without the only record of a cell."""
    other = build(folder / "without", without="sole")
    command(other, "run", "calls", "--no-push")
    assert structure(town.release("calls")) == structure(other.release("calls"))
    note("files, columns, rows, ids, order, keys of the manifest and guarantee are the same without the unit")


def note(words: str) -> None:
    """A remark between the lines of the table."""
    print(f"<!-- {words} -->", flush=True)


if __name__ == "__main__":
    main()
