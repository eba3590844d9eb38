"""Attacks on what is published, with everybody else known: no attacker does better than the guarantee says.

Every bound is read from the guarantee of a release that the real command made. Each test rejects a sound publisher with
a chance below one in a million (one in 150 million for each line); the fault that it finds is its control, a publisher
that was weakened on purpose and must be beaten. `python benchmarks/attacks.py` does the same at length; docs/attacks.md
explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import attacks_cases as attack
import pytest
from attacks_files import drawn_again, life, structure, without_empty
from attacks_model import mechanisms_in
from attacks_town import build, real_targets
from host import hosted
from kills import hatched, output_of

from publisher.pipeline.charges import selection_of
from publisher.privacy.selection import selection_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from attacks_cases import Case, Line
    from attacks_town import Town
    from host import Host
    from kills import Zygote

RELEASES = 200_000
FINISHED = 20_000

pytestmark = pytest.mark.xdist_group("attacks")  # they share one town


@dataclass(frozen=True)
class Publisher:
    """The real command over a portal, in a process that has imported everything."""

    host: Host
    zygote: Zygote

    def __call__(self, town: Town, *arguments: str) -> None:
        assert self.zygote.run(town, *arguments) == 0, output_of(town).read_text()


@pytest.fixture(scope="module")
def publisher(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    """One portal and one process for all towns."""
    with hosted(tmp_path_factory.mktemp("portal")) as host, hatched(host.environment) as zygote:
        yield Publisher(host, zygote)


@pytest.fixture(scope="module")
def town(publisher: Publisher, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The town with its first releases; nobody changes it."""
    made = build(tmp_path_factory.mktemp("attacked") / "town", publisher.host.url)
    publisher.zygote.warm(made, "run", "--no-push")
    return made


@pytest.fixture(scope="module")
def found(town: Town) -> dict[str, Case]:
    """The units that attackers ask about."""
    return attack.cases(town)


def hold(lines: Iterable[Line]) -> None:
    """Every attack stays within its bound, every null at one half, and every weakened publisher is beaten."""
    wrong = [(each.attack, each.attacker, each.kind, each.success) for each in lines if not each.holds]
    assert wrong == []


def test_all_copies_of_a_cell_are_one_draw(town: Town, publisher: Publisher, tmp_path: Path) -> None:
    """Runs, pushes, editions, rollback and undo show one value for each cell; a second draw is charged as one, and both
    together tell no more than the guarantee allows for the whole budget."""
    changed = town.copy(tmp_path / "town")
    copies = life(changed, publisher, publisher.host.url)
    assert copies.most_values == 1
    assert copies.total >= 10 * len(copies.seen)
    drawn_again(changed, publisher)
    copies.look(changed, "calls")
    assert copies.most_values > 1
    says = changed.guarantee("calls", 4)
    assert Fraction(says["budget"]["spent"]) == 2 * Fraction(says["loss"]["amount"])
    case = attack.cases(town)["small"]
    hold([attack.two_draws(case, mechanisms_in(says), says["odds"]["budget"]["guess_at_most"], RELEASES)])


def test_averaging(found: dict[str, Case]) -> None:
    """The average of editions has the variance of one of them, that of draws a tenth; only draws help an attacker."""
    same, anew = attack.shrinkage(found["small"], 2_000)
    assert same == pytest.approx(1)
    assert anew == pytest.approx(0.1, rel=0.3)
    hold(chain(attack.averaging(found["small"], RELEASES), attack.vintages(found["small"], RELEASES // 2)))


@pytest.mark.parametrize("name", ["small", "sole", "person", "months", "meter", "parcel"])
def test_differencing(found: dict[str, Case], name: str) -> None:
    """Over all levels and measures at once the best guess is right as often as theory says, and no more than the
    release's odds."""
    hold(attack.differencing(found[name], RELEASES // 4 if name == "months" else RELEASES))


def test_levels_are_paid_for(found: dict[str, Case]) -> None:
    """What is published tells no more than what was measured; levels that nobody paid for would."""
    hold([attack.unpaid_levels(found["small"], RELEASES)])
    hold(attack.published_tables(found[name], FINISHED) for name in ("small", "sole", "meter"))


def test_linking_to_public_rows(real: Path, publisher: Publisher, tmp_path: Path) -> None:
    """Who has the public rows of everybody but one guesses at that one as the odds say, and no better."""
    says, (target,) = real_targets(tmp_path / "real", real, publisher, "stlouis-requests", "2018-W03", 1)
    hold(attack.linking(attack.Case("a real request", target, attack.allowed(says)), RELEASES, 2_000))


def test_withheld_cells(found: dict[str, Case]) -> None:
    """A total less its siblings gives back the withheld noisy number, never one nearer to the truth than the noise; a
    complementary cell leaves nothing to recover. Neither helps to guess beyond the odds."""
    open_, lines = attack.recovery(found["small"], FINISHED)
    assert open_.withheld > 0.5
    assert open_.recovered == open_.exactly == 1
    assert open_.distance >= 0.98
    closed, more = attack.recovery(found["small"], FINISHED, complementary=True)
    assert closed.withheld > 0.5
    assert closed.recovered == 0
    hold([*lines, *more])


def test_post_processing(found: dict[str, Case]) -> None:
    """Statuses, margins, words, rounding and cutting tell an attacker who learned from examples no more than the
    measurements do; a threshold on true counts would tell everything."""
    hold(attack.post_processing(found["small"], found["sole"], found["person"], FINISHED))


def test_structure_says_nothing(town: Town, publisher: Publisher, tmp_path: Path) -> None:
    """Files, columns, rows, ids, order, the manifest's keys and the guarantee are the same without the only record of a
    cell; a publisher who leaves out empty cells would show one row less."""
    other = build(tmp_path / "town", publisher.host.url, without="sole")
    publisher(other, "run", "calls", "--no-push")
    with_it, without_it = (structure(each.release("calls")) for each in (town, other))
    assert with_it == without_it
    target = town.target("calls", "2024-01", "sole")
    assert without_empty(target.present) == without_empty(target.absent) + 1


def test_unique_keys(town: Town) -> None:
    """A key that one unit alone brought in is shown with a chance of at most δ; a threshold too low shows more."""
    hold(attack.unique_keys(selection_for(1, Fraction(1, 20), Fraction(1, 1000)), 30_000))
    selection = selection_of(town.workspace.dataset("reports"))
    assert selection is not None
    assert str(selection.delta) == town.guarantee("reports")["loss"]["delta"]
