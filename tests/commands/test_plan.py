"""`publisher plan` tells what will come, from what everybody may know."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import asdict, fields, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import planned
import pyarrow.parquet
import pytest
from township import FILES

from publisher.commands.chart import PLOT_HEIGHT, PLOT_WIDTH, picture, write_picture
from publisher.commands.plan import print_candidates, print_plans, print_split
from publisher.errors import DefinitionError, SourceError
from publisher.grades import STATUSES
from publisher.planning.bounds_known import CoveragePlanned, ErrorShares
from publisher.planning.comparison import MOST, candidates, split, the_one, toml_of
from publisher.planning.expected import known_from
from publisher.planning.forecast import Forecast, Public, public
from publisher.planning.pace import Spent, pace_of
from publisher.privacy.account import LossAmount
from publisher.privacy.margins import half_width
from publisher.privacy.mechanism import mechanism_for
from publisher.privacy.sensitivity import Sensitivity
from publisher.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from publisher.planning.forecast import Plan

TODAY = date(2024, 4, 10)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Definitions alone; nobody changes them."""
    return planned.build(tmp_path_factory.mktemp("plan") / "city")


def plan(workspace: Workspace, name: str, *guesses: str) -> Plan:
    dataset = workspace.dataset(name)
    return public(workspace, [dataset], guesses).plan(dataset)


def test_definitions_are_enough(city: Workspace) -> None:
    """Without data, state or release every cost and margin is known; shares of cells are not, and no folder is made."""
    found = plan(city, "requests")
    assert [(each.table, each.cells_a_release) for each in found.tables] == [
        ("requests-city", 1),
        ("requests-sides", 3),
        ("requests", 93),
    ]
    first = found.tables[0]
    assert (first.loss_a_block, first.loss_of_table, first.blocks_a_release) == ("ρ 0.1", "1/30 (about 0.0333333)", 31)
    assert (first.left_on_fullest_block, first.releases_left, first.first_refused) == ("0.25 of 0.25", 2, None)
    assert {(each.suppressed, each.known_from) for each in found.tables} == {(None, "no release yet")}
    assert not city.data.exists()
    assert not city.state.exists()


def test_a_table_alone_has_the_margin_of_its_noise(city: Workspace) -> None:
    """One level: the noise's own quantile, in the measure's unit."""
    accounts, used = plan(city, "water").tables
    noise = mechanism_for("used", "zcdp", Sensitivity(1, 1000), Fraction(1, 20))
    assert used.half_width == used.noise_alone == half_width(noise, 0.95)
    assert used.margin == f"±{used.half_width:,.0f} liters"
    assert (accounts.ok_from, accounts.caution_from) == pytest.approx(
        (accounts.half_width / 0.33, accounts.half_width / 0.65)
    )


def test_tables_that_meet_are_surer(city: Workspace) -> None:
    """Reconciled margins are narrower than those of the same noise alone, for every table."""
    for table in plan(city, "requests").tables:
        assert table.half_width < 1.02 * table.noise_alone
    assert plan(city, "requests").tables[1].half_width < 0.9 * plan(city, "requests").tables[1].noise_alone


@pytest.mark.parametrize(("rho", "threshold"), [("0.1", 5), ("0.1", 12), ("0.02", 5), ("0.02", 20)])
def test_expected_shares_come_true(tmp_path: Path, rho: str, threshold: int) -> None:
    """From one release at ρ 0.1 the shares of another, with other noise, loss and threshold, are told within 6%."""
    city = planned.build(tmp_path)
    dataset = city.dataset("requests")
    facts = Public(
        city, Spent(), {"requests": known_from(planned.release(city, dataset, "2024-01", 1), dataset.definition)}
    )
    (told,) = candidates(dataset, [f"rho={rho}", f"threshold={threshold}"], facts)
    changed = dataset.definition.model_copy(
        update={
            "loss": dataset.definition.loss.model_copy(update={"rho": Decimal(rho)}),
            "suppression": dataset.definition.suppression.model_copy(update={"threshold": threshold}),
        }
    )
    other = replace(dataset, definition=changed)
    shares = []
    for seed in (10, 11, 12, 13):
        (tmp_path / str(seed)).mkdir()
        elsewhere = replace(city, state=tmp_path / str(seed))
        table = pyarrow.parquet.read_table(planned.release(elsewhere, other, "2024-02", seed).data)
        status = np.array(table["requests_status"].to_pylist())
        shares.append([(status == each).mean() for each in STATUSES])
    came = np.mean(shares, axis=0)
    finest = told.tables[-1]
    assert [finest.ok, finest.caution, finest.unreliable, finest.suppressed] == pytest.approx(came, abs=0.06)


def test_a_guess_stands_in(city: Workspace) -> None:
    """With `--typical` the same value is taken for every finest cell, and its sums for coarser ones."""
    sure, unsure = plan(city, "requests", "1000"), plan(city, "requests", "7")
    assert {(each.ok, each.caution, each.unreliable, each.suppressed) for each in sure.tables} == {(1.0, 0.0, 0.0, 0.0)}
    finest, whole = unsure.tables[-1], unsure.tables[0]
    assert finest.ok == pytest.approx(0, abs=0.001)
    assert min(finest.caution or 0, finest.unreliable or 0, finest.suppressed or 0) > 0.1
    assert whole.ok == 1  # 93 cells of 7 each
    assert unsure.tables[0].known_from == "as guessed"
    accounts, used = plan(city, "water", "100", "used=10").tables
    assert (accounts.unreliable, used.unreliable) == (pytest.approx(0), pytest.approx(1, abs=0.01))


@pytest.mark.parametrize("guess", ["many", "-3", "nan", "used=", "swans=3"])
def test_a_guess_must_be_a_number_of_something(city: Workspace, guess: str) -> None:
    """Anything else is refused in one line."""
    with pytest.raises(DefinitionError) as refused:
        plan(city, "water", guess)
    assert "\n" not in str(refused.value)


def pace(workspace: Workspace, name: str, spent: Spent | None = None, today: date = TODAY) -> tuple[object, ...]:
    dataset = workspace.dataset(name)
    same = [each for each in workspace.datasets.values() if each.source.name == dataset.source.name]
    found = pace_of(dataset, same, spent or Spent(), today)
    return len(found.ended), found.released, found.left, found.releases_left, found.last, found.refused


def test_days_are_charged_once(city: Workspace) -> None:
    """Monthly releases of day blocks never meet: the budget lasts to the last period."""
    assert pace(city, "requests") == (3, 0, Fraction(1, 4), 2, "2024-03", None)


def test_a_lifetime_runs_out(tmp_path: Path) -> None:
    """One block for ever: 0.25 pays two releases of 0.1, whenever they come; what was spent counts."""
    city = planned.build(tmp_path, {"pipelines/meters.toml": ('window = "month"', 'window = "lifetime"')})
    assert pace(city, "water") == (3, 0, Fraction(1, 4), 2, "2024-02", "2024-03")
    spent = Spent(
        {("meters", "lifetime"): LossAmount(Fraction(1, 10), Fraction(0))}, Counter({("water", "2024-01"): 1})
    )
    assert pace(city, "water", spent) == (3, 1, Fraction(3, 20), 1, "2024-02", "2024-03")


def test_a_neighbor_takes_its_part(tmp_path: Path) -> None:
    """Datasets of one source spend on the same blocks: two of 0.1 fit into 0.25, a third does not, by name at last."""
    files = {f"water-{n}": FILES["datasets/water.toml"] for n in (2, 3)}
    city = planned.build(tmp_path, **files)
    assert pace(city, "water")[-2:] == ("2024-03", None)
    assert pace(city, "water-2")[-2:] == ("2024-03", None)
    assert pace(city, "water-3")[-2:] == (None, "2024-01")


def test_days_without_end_never_run_out(tmp_path: Path) -> None:
    """Without a last period the schedule is played three years ahead; weeks that share a month's block do run out."""
    edits = {"datasets/water.toml": ('last = "2024-03"\n', "")}
    assert pace(planned.build(tmp_path / "a", edits), "water")[-1] is None
    weekly = FILES["datasets/water.toml"].replace('last = "2024-03"\n', "").replace('"month"', '"week"')
    city = planned.build(tmp_path / "b", water=weekly.replace('"2024-01"', '"2024-W01"'))
    assert pace(city, "water")[-2:] == ("2024-W02", "2024-W03")


def test_delta_runs_out_too(tmp_path: Path) -> None:
    """Keys that are found by selection charge δ: where only one δ fits into a block, the second dataset is refused."""
    found = "[keys.discover]\nshare = 0.2\ndelta = 0.000001\n"
    selecting = FILES["datasets/requests.toml"].replace(
        'keyset = "sorts"\nother = "Other"\n', f'other = "Other"\n{found}'
    )
    edits = {"pipelines/requests.toml": ("budget = 0.25", "budget = 1\ndelta = 0.000001")}
    city = planned.build(tmp_path, edits, **{"a-first": selecting, "b-second": selecting})
    assert pace(city, "a-first") == (3, 0, Fraction(1), 1, "2024-03", None)
    assert pace(city, "b-second")[-2:] == (None, "2024-01")
    assert plan(city, "b-second").tables[0].cells_a_release is None


def test_a_policy_that_charges_again_is_counted(tmp_path: Path) -> None:
    """Each edition of `charge` spends anew: three of 0.1 do not fit into 0.25."""
    late = '\n[late]\npolicy = "charge"\nafter_days = [0, 30, 60]\n'
    edits = {"pipelines/requests.toml": ('[feed]\npath = "requests"\n', f'[feed]\npath = "requests"\n{late}')}
    city = planned.build(tmp_path, edits)
    assert pace(city, "requests")[-2:] == (
        "2024-02",
        "2024-01",
    )  # the third of January is due after the first of February


def test_candidates_stand_side_by_side(city: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Every combination in order; more loss gives less noise and fewer releases, a threshold more withheld cells."""
    dataset = city.dataset("requests")
    facts = public(city, [dataset], ["12"])
    found = candidates(dataset, ["rho=0.05,0.1", "threshold=5,10", "share.city=0.1,0.3"], facts)
    assert [tuple(each.settings.values()) for each in found[:3]] == [
        ("0.05", "5", "0.1"),
        ("0.05", "5", "0.3"),
        ("0.05", "10", "0.1"),
    ]
    assert len(found) == 8
    assert [found[0].releases_a_block, found[4].releases_a_block] == [5, 2]
    for less, more in zip(found[:4], found[4:], strict=True):
        assert all(a.half_width > b.half_width for a, b in zip(less.tables, more.tables, strict=True))
    assert (found[2].tables[-1].suppressed or 0) > (found[0].tables[-1].suppressed or 1)
    assert found[1].tables[0].half_width < found[0].tables[0].half_width
    assert found[1].tables[-1].half_width > found[0].tables[-1].half_width
    print_candidates(facts.plan(dataset), found)
    assert (
        len(
            [
                line
                for line in capsys.readouterr().out.splitlines()
                if re.match(r"rho 0\.[0-9]+, threshold [0-9]+, ", line)
            ]
        )
        == 8
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("epsilon=1", "can compare rho, threshold, share.city, share.sides"),
        ("share.moon=0.1", "can compare"),
        ("rho", "is not a number"),
        ("rho=0.1,x", "is not a number"),
        ("rho=0", "must be more than 0"),
        ("threshold=-1", "is not a number"),
        ("threshold=2.5", "must be a whole number"),
        ("share.city=0.9", "must add up to less than 1"),
        ("rho=" + ",".join(f"0.{n}1" for n in range(MOST + 1)), "too many"),
    ],
)
def test_what_cannot_be_compared(city: Workspace, option: str, says: str) -> None:
    """One line says what is wrong with the option, with exit code 2; the file is not blamed."""
    dataset = city.dataset("requests")
    with pytest.raises(DefinitionError, match=says) as refused:
        candidates(dataset, [option], public(city, [dataset]))
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("--compare")
    assert refused.value.exit_code == 2


def test_an_option_is_given_once_and_for_one_dataset(city: Workspace) -> None:
    """Two lists of one setting are refused, and so is a comparison of several datasets."""
    dataset = city.dataset("requests")
    with pytest.raises(DefinitionError, match="given twice"):
        candidates(dataset, ["rho=0.1", "rho=0.2"], public(city, [dataset]))
    with pytest.raises(DefinitionError, match="works on one dataset"):
        the_one(list(city.datasets.values()), "--compare")
    assert the_one([dataset], "--compare") is dataset


def test_the_suggested_split_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed rollups put in place of the dataset's own make a definition with those shares and a smaller error."""
    city = planned.build(tmp_path)
    dataset = city.dataset("requests")
    facts = public(city, [dataset])
    found = split(dataset, "finest=6", facts)
    assert found.gain > 0
    text = toml_of(found, dataset.definition)
    assert [each["share"] for each in tomllib.loads(text)["rollups"]] == [part.suggested for part in found.parts[:-1]]
    path = tmp_path / "datasets" / "requests.toml"
    head, _, rest = path.read_text().partition("[[rollups]]")
    assert "Requests of the whole city" in rest
    path.write_text(head + text)
    after = find_workspace(tmp_path).dataset("requests").definition
    assert [float(after.share_of(name)) for name in ("city", "sides", "")] == [part.suggested for part in found.parts]
    print_split(found, facts.plan(dataset))
    assert text in capsys.readouterr().out
    pasted = find_workspace(tmp_path).dataset("requests")
    print_split(split(pasted, "finest=6", public(city, [pasted])), facts.plan(pasted))
    assert "as good as any" in capsys.readouterr().out


def test_rollups_that_are_no_chain_are_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By sort and by side of the river, with a city that is only measured: a sort's margin is far below that of its 31
    cells summed; the table that no one sees has the weight 0, is told as not published, and is pasted as that."""
    rollups = planned.ROLLUPS.replace(
        'title = "Requests of the whole city"\n',
        """title = "Requests of the whole city"
publish = false

[[rollups]]
name = "sorts"
title = "Requests by sort"
keys = ["sort"]
""",
    )
    city = planned.build(tmp_path, {"datasets/requests.toml": (planned.ROLLUPS, rollups)})
    dataset = city.dataset("requests")
    assert not dataset.definition.chained
    facts = public(city, [dataset])
    plan = facts.plan(dataset)
    widths = {table.level: table.half_width for table in plan.tables}
    assert widths["sorts"] < 0.5 * 31**0.5 * widths[""]
    found = split(dataset, None, facts)
    assert [(part.level, part.weight) for part in found.parts] == [
        ("city", "0"), ("sorts", "1"), ("sides", "1"), ("finest", "1"),
    ]  # fmt: skip
    assert found.gain > 0
    pasted = tomllib.loads(toml_of(found, dataset.definition))["rollups"]
    assert [each.get("publish", True) for each in pasted] == [False, True, True]
    print_plans([plan])
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("city ")]
    assert "not published" in row


@pytest.mark.parametrize("weights", ["moon=1", "city", "city=x", "city=0,sides=0,finest=0"])
def test_weights_are_of_tables(city: Workspace, weights: str) -> None:
    """Anything else is refused in one line; a dataset without rollups has nothing to split."""
    facts = public(city, list(city.datasets.values()))
    with pytest.raises(DefinitionError, match="--weights") as refused:
        split(city.dataset("requests"), weights, facts)
    assert "\n" not in str(refused.value)
    with pytest.raises(DefinitionError, match="no rollups"):
        split(city.dataset("water"), None, facts)


def test_the_picture_shows_the_margins(tmp_path: Path) -> None:
    """Well-formed SVG with title and description; on each line, margin over value is the table's half width; published
    cells are drawn, nothing is fetched."""
    city = planned.build(tmp_path)
    dataset = city.dataset("requests")
    known = known_from(planned.release(city, dataset, "2024-01", 1), dataset.definition)
    found = Public(city, Spent(), {"requests": known}).plan(dataset)
    svg = picture(found)
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert root.findtext(f"{SVG}title") == "requests: margin of error by the value of a cell"
    assert all(table.margin in (root.findtext(f"{SVG}desc") or "") for table in found.tables)
    lines = [
        each.attrib["d"]
        for each in root.iter(f"{SVG}path")
        if each.get("class", "").startswith("line ") and "L" in each.attrib["d"]
    ]
    ticks = _decades(root)
    for line, table in zip(lines, found.tables, strict=True):
        for end in line[1:].split("L"):
            x, y = map(float, end.split())
            value, part = 10 ** np.interp(x, *ticks["x"]), 10 ** np.interp(y, *ticks["y"])
            assert value * part == pytest.approx(table.half_width, rel=0.02)
    assert len([each for each in root.iter(f"{SVG}path") if each.get("class", "").startswith("cell")]) == 3


def _decades(root: ET.Element) -> dict[str, tuple[list[float], list[float]]]:
    """Where the axes' labels stand, and the powers of ten that they name."""
    found: dict[str, list[tuple[float, float]]] = {"x": [], "y": []}
    for text in root.iter(f"{SVG}text"):
        words = (text.text or "").replace(",", "")
        if text.get("text-anchor") == "middle" and words.replace(".", "").isdigit():
            found["x"].append((float(text.attrib["x"]), float(np.log10(float(words)))))
        elif text.get("text-anchor") == "end" and words.endswith("%") and ":" not in words:
            found["y"].append((float(text.attrib["y"]) - 4, float(np.log10(float(words[:-1]) / 100))))
    assert max(x for x, _ in found["x"]) <= PLOT_WIDTH
    assert max(y for y, _ in found["y"]) <= PLOT_HEIGHT
    return {axis: tuple(zip(*sorted(ends), strict=True)) for axis, ends in found.items()}  # type: ignore[misc]


def test_the_plan_is_a_page(city: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: what a release spends, what is left, one row for each table, and bars where a guess is given."""
    print_plans([plan(city, "requests", "12"), plan(city, "water", "12")])
    out = capsys.readouterr().out
    assert "A release spends ρ 0.1 on each of 31 day blocks" in out
    assert "The fullest block of past periods has 0.25 of 0.25 left: enough for 2 more releases" in out
    assert "Releases to come have enough budget on their own blocks, up to the last, 2024-03." in out
    assert "whether one record is in the data is right at most 58.9% of the time after reading this dataset" in out
    assert "(a coin: 50%), 67.7% after everything that this source may release" in out
    assert "For a household with 5 records: 86.9% after this dataset." in out
    assert len([line for line in out.splitlines() if "±" in line]) == 5
    assert "▒" in out


SCRIPT = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from dataclasses import asdict
from pathlib import Path
from publisher.planning.forecast import public
from publisher.workspace import find_workspace
workspace = find_workspace(Path(sys.argv[1]))
chosen = list(workspace.datasets.values())
facts = public(workspace, chosen)
rows = [asdict(table) for each in chosen for table in facts.plan(each).tables]
private = [f"{path}/" for path in (workspace.data, workspace.private / "landed")]
print(json.dumps([rows, [name for name in opened if name.startswith(tuple(private))]]))
"""


@pytest.mark.usefixtures("processes")
def test_no_record_is_read(tmp_path: Path) -> None:
    """With raw files and landed records there, damaged so that reading them would fail, the plan is what it is without
    them, and no file of theirs is opened."""
    bare = planned.build(tmp_path / "bare")
    full = planned.build(tmp_path / "full")
    for city in (bare, full):
        city.private.mkdir(parents=True, mode=0o700)
    for path in (full.data / "requests/first.csv", full.private / "landed/requests/2024-01/1.parquet"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x00 no records \xff")
    answers = []
    for city in (bare, full):
        ran = subprocess.run([sys.executable, "-c", SCRIPT, str(city.root)], capture_output=True, text=True, check=True)
        answers.append(json.loads(ran.stdout))
    (rows, touched), (bare_rows, _) = answers[1], answers[0]
    assert rows == bare_rows
    assert {Path(each).name for each in touched} == {"districts.geojson"}  # public, and part of what a draw depends on
    dataset = bare.dataset("water")
    assert rows[-1] == json.loads(json.dumps(asdict(public(bare, [dataset]).plan(dataset).tables[-1])))


def test_every_field_is_documented() -> None:
    """docs/planning.md explains each field of the JSON."""
    page = (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
    rows = page.partition("| field | meaning |")[2].splitlines()
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.partition("` | ")[0] + "`")}
    assert named == {field.name for part in (Forecast, ErrorShares, CoveragePlanned) for field in fields(part)}


def test_a_picture_that_cannot_be_written(city: Workspace, tmp_path: Path) -> None:
    """One line names the file."""
    with pytest.raises(SourceError, match=r"nowhere.*cannot be written"):
        write_picture(plan(city, "requests"), tmp_path / "nowhere" / "margins.svg")
