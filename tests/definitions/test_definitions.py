"""Whatever is wrong in a definition is said once, with file, line and key."""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from publisher.definitions.compatibility import check_reference_files
from publisher.definitions.dataset import Dataset
from publisher.definitions.feed import FileFeed
from publisher.definitions.keyset import read_keyset, read_lookup
from publisher.definitions.period import parse
from publisher.definitions.schema import KINDS, schema_of
from publisher.definitions.source import Place, Source
from publisher.definitions.toml import Origin, build, read_toml
from publisher.errors import DefinitionError
from publisher.workspace import find_workspace

ROOT = Path(__file__).parents[2]

WORKSPACE = """
organization = "Town"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "Example Act"
[engine]
threads = 2
[portal]
kind = "embedded"
"""
POLYGONS = 'boundaries = { path = "zones.geojson", key = "name", source = "Example City, CC0" }'
SOURCE = """
title = "Visits"
description = "Visits."
purpose = "Tests."
population = "town"
timezone = "America/Chicago"
retention_months = 12
record_id = ["id"]
lookups = ["spellings"]
[privacy]
unit = "who"
window = "month"
missing = "drop"
budget = 0.5
[feed]
path = "raw"
[event]
column = "day"
formats = ["%Y"]
[register]
reading = "reading"
consumption = "used"
[places.zone]
point = { x = "x", y = "y", unknown = [[1, 1]] }
boundaries = { path = "zones.geojson", key = "name", source = "Example City, CC0" }
[columns]
id = { class = "public", statute = "s. 1", identifier = true }
who = { class = "private", statute = "s. 2", identifier = true }
day = { class = "public", statute = "s. 1" }
x = { class = "private", statute = "s. 2" }
y = { class = "private", statute = "s. 2" }
secret = { class = "private", statute = "s. 2", read = false }
"""
DATASET = """
title = "Visits"
description = "Visits."
source = "visits"
period = "month"
first = "2020-01"
last = "2020-12"
[loss]
rho = 0.1
[bounds]
max_groups = 2
max_per_group = 3
[[keys]]
name = "zone"
title = "Zone"
keyset = "zones"
other = "Unknown"
[[measures]]
name = "visits"
title = "Visits"
kind = "count_units"
unit = "visits"
share = 0.4
[[measures]]
name = "paid"
title = "Paid"
kind = "sum"
unit = "dollars"
column = "paid"
lower = 0
upper = 20
resolution = 0.5
share = 0.6
[[measures]]
name = "mean_paid"
title = "Mean"
kind = "mean"
unit = "dollars"
sum = "paid"
count = "visits"
[suppression]
measure = "visits"
threshold = 10
customers = 15
largest_share = 0.15
[portal]
category = "Tests"
"""
FILES = {
    "publisher.toml": WORKSPACE,
    "pipelines/visits.toml": SOURCE,
    "pipelines/visits.sql": "SELECT day FROM raw",
    "datasets/visits.toml": DATASET,
    "datasets/keysets/zones.csv": "key,label\na,Zone A\nb,Zone B\n",
    "datasets/keysets/spellings.csv": "spelling,zone\nA,a\nB,b\n",
}
W, S, D = "publisher.toml", "pipelines/visits.toml", "datasets/visits.toml"
ZONES, SPELLINGS = "datasets/keysets/zones.csv", "datasets/keysets/spellings.csv"


def make(folder: Path, *changes: tuple[str, str, str]) -> None:
    """Writes the workspace, `old` of a file replaced by `new`; the line of a fault is looked up in the result."""
    for name, original in FILES.items():
        text, path = original, folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, old, new in changes:
            if file == name:
                assert old in text, f"{old!r} does not stand in {name}"
                text = text.replace(old, new, 1)
        path.write_text(text.lstrip("\n"))


def load(folder: Path) -> None:
    dict(find_workspace(folder).datasets)


FAULTS = [
    (W, 'contact = "data@example.org"', "", 1, "contact: is missing"),
    (W, 'contact = "', 'contct = "x"\ncontact = "', 2, "contct: unknown key"),
    (W, 'license = "', 'licence = "CC0 1.0"\nlicense = "', 3, "licence: is now called license: rename the key"),
    (D, "threshold = 10", "unreliable = 0.5\nthreshold = 10", 42, "suppression.unreliable: .*Delete this.*no cost"),
    (W, "threads = 2", 'threads = "2"', 6, "engine.threads: must be a whole number"),
    (W, "threads = 2", 'memory = "lots"', 6, "engine.memory: must be a size"),
    (W, 'kind = "embedded"', 'kind = "socrata"', 7, "portal: .*domain"),
    (W, 'kind = "embedded"', 'domain = "x.org"', 7, "portal: .*domain"),
    (W, 'kind = "embedded"', 'url = "https://data.example.org:65536"', 8, "portal.url: .*is not an address"),
    (W, "[engine]", "[engine", None, "not valid TOML"),
    (S, 'title = "Visits"', "", 1, "title: is missing"),
    (S, 'title = "Visits"', 'title = ""', 1, "title: must not be empty"),
    (S, 'title = "Visits"', "title = 5", 1, "title: must be a text"),
    (S, 'window = "month"', 'window = "months"', 11, "privacy.window: "),
    (S, 'window = "month"', 'window = "day"', 11, "privacy.window: a day works only if the unit is record"),
    (S, 'missing = "drop"\n', "", 9, "privacy: set what a row without an identifier is"),
    (S, "budget = 0.5", "budget = 0", 13, "privacy.budget: must be more than 0"),
    (S, "budget = 0.5", 'budget = "0.5"', 13, "privacy.budget: "),
    (S, "budget = 0.5", "budget = nan", 13, "privacy.budget: .*finite"),
    (S, "[privacy]", "minors = true\n[privacy]", 14, "privacy.budget: is more than 0.25, the most for a source"),
    (S, "[privacy]", "minors = 1\n[privacy]", 9, "minors: must be true or false"),
    (S, "budget = 0.5", "budget = 0.5\nbadget = 1", 14, "privacy.badget: unknown key"),
    (S, 'unit = "who"', 'unit = "day"', None, "columns.day: .*identifier = true"),
    (S, 'unit = "who"', 'unit = "record"', 12, "privacy.missing: does not apply"),
    (S, 'unit = "who"\nwindow = "month"\nmissing = "drop"', 'unit = "record"\nwindow = "day"', 18, "register: "),
    (S, 'unit = "who"', 'unit = "whom"', 10, "privacy.unit: names the column 'whom'"),
    (S, 'timezone = "America/Chicago"', 'timezone = "Mars"', 5, "timezone: 'Mars' is not a time zone"),
    (S, "retention_months = 12", "retention_months = 12.5", 6, "retention_months: must be a whole number"),
    (S, 'column = "day"', 'column = "night"', 17, "event.column: names the column 'night'"),
    (S, 'column = "day"', 'column = "secret"', 17, "event.column: .*read = false"),
    (S, 'record_id = ["id"]', 'record_id = ["no"]', 7, "record_id: names the column 'no'"),
    (S, 'statute = "s. 2", read', "read", None, "columns.secret.statute: is missing"),
    (S, 'day = { class = "public"', 'day = { class = "open"', None, "columns.day.class: "),
    (S, 'x = "x"', 'x = "secret"', None, "places.zone: .*read = false"),
    (S, POLYGONS, "", None, "places.zone: .*needs boundaries"),
    (S, ', source = "Example City, CC0"', "", None, "places.zone.boundaries.source: is missing: say who made"),
    (S, 'path = "zones.geojson"', 'path = "raw/zones.geojson"', None, "boundaries.path: .* is a file of records"),
    (S, "[[1, 1]]", "[[1]]", None, "places.zone.point.unknown.0.1: is missing"),
    (S, "[places.zone]", "[places.Zone]", None, "places.Zone: must be lowercase letters"),
    (S, 'lookups = ["spellings"]', 'lookups = ["nothing"]', 8, "lookups: the lookup 'nothing' is missing"),
    (D, 'source = "visits"', 'source = "vists"', 3, "source: there is no source 'vists'; this workspace has: visits"),
    (D, "rho = 0.1", "rho = 0.1\nepsilon = 1", 7, "loss: give one of rho"),
    (D, "rho = 0.1", "", 7, "loss: give one of rho"),
    (D, "rho = 0.1", "rho = 1e-400", 8, "loss.rho: is too large or too small"),
    (D, "rho = 0.1", "rho = 1e-10", 8, "loss.rho: must be at least 0.000000001"),
    (D, "rho = 0.1", "rho = 1e-9", 7, "loss: gives a table less than 0.000000001"),
    (D, "upper = 20", "upper = 1e999999", 30, "measures.1.upper: is too large"),
    (D, "resolution = 0.5", "resolution = 1e-400", 31, "measures.1.resolution: is too large or too small"),
    (D, "threshold = 10", "threshold = 1000000000000", None, "suppression.threshold: must be 100,000,000,000 or less"),
    (W, 'kind = "embedded"', 'url = "http://127.0.0.1:99999"', 8, "portal.url: is not an address"),
    (D, "rho = 0.1", "epsilon = 0.1", 7, "loss: the budget of source visits is in rho"),
    (D, "rho = 0.1", "rho = 0.6", 7, "loss: one release would spend more"),
    (D, "rho = 0.1", "rho = true", 8, "loss.rho: "),
    (D, "rho = 0.1", "rho = -0.1", 8, "loss.rho: must be more than 0"),
    (D, "rho = 0.1", "rho = inf", 8, "loss.rho: .*finite"),
    (D, "[bounds]\nmax_groups = 2\nmax_per_group = 3\n", "", 1, r"\[bounds\] is missing"),
    (D, "max_groups = 2", "max_groups = 0", 10, "bounds.max_groups: "),
    (D, "max_groups = 2", "max_groups = 2.0", 10, "bounds.max_groups: must be a whole number"),
    (D, "max_groups = 2", "max_groups = 2\nwider_groups = 5", 11, "bounds.wider_groups: .*give coverage_share too"),
    (D, "max_groups = 2", "max_groups = 2\ncoverage_share = 0.1\nwider_groups = 1", 12, "must be at least max_groups"),
    (D, "max_groups = 2", "max_groups = 2\ncoverage_share = 0.1", 11, "bounds.coverage_share: has nothing to measure"),
    (D, "max_groups = 2", "max_groups = 2\ncoverage_share = 1", 11, "bounds.coverage_share: .*less than 1"),
    (D, "resolution = 0.5", "resolution = 0.5\nwider_upper = 1", None, "wider_upper: must be at least upper"),
    (D, "resolution = 0.5", "resolution = 0.5\nwider_upper = 5000", None, "wider_upper: .*bounds.coverage_share too"),
    (D, "share = 0.4", "share = 0.3", 17, "measures: .*add up to exactly 1"),
    (D, "share = 0.4", "", 17, "measures: .*every count and sum"),
    (D, 'count = "visits"', 'count = "visits"\nshare = 0.1', None, "measures.2.share: "),
    (D, "upper = 20\n", "", 23, "measures.1.upper: is required for a sum"),
    (D, "resolution = 0.5", "", 23, "measures.1.resolution: is required for a sum"),
    (D, "share = 0.4", "share = 0.4\nlower = 0", 23, "measures.0.lower: does not apply to a count"),
    (D, "lower = 0", "lower = 20", 29, "measures.1.lower: must be less than upper"),
    (D, "upper = 20", "upper = 20.2", 30, "measures.1.upper: must be a whole multiple"),
    (D, "upper = 20", "upper = 1e30", 30, "measures.1.upper: is more than"),
    (D, "resolution = 0.5", "resolution = 0", 31, "measures.1.resolution: "),
    (D, 'sum = "paid"', 'sum = "pad"', None, "measures.2.sum: this dataset has no sum 'pad'"),
    (D, 'count = "visits"', 'count = "paid"', None, "measures.2.count: this dataset has no count 'paid'"),
    (D, 'kind = "sum"', 'kind = "median"', 26, "measures.1.kind: "),
    (D, 'name = "zone"', 'name = "Zone"', 13, "keys.0.name: must be lowercase letters"),
    (D, 'name = "zone"', 'name = "period"', 1, "two columns would have the name period"),
    (D, 'name = "paid"', 'name = "visits_low"', None, "two columns would have the name visits_low"),
    (D, 'title = "Zone"\n', "", 12, "keys.0.title: is missing"),
    (D, 'title = "Zone"', 'title = { es = "Zona" }', 14, "keys.0.title: needs en, which every page"),
    (D, 'title = "Zone"', 'title = { en = "Zone", fr = "Zone" }', 14, "keys.0.title.fr: is no language of the pages"),
    (D, 'title = "Zone"', 'title.en = "Zone"\ntitle.es = ""', 15, "keys.0.title.es: must be text"),
    (D, 'keyset = "zones"', 'keyset = "areas"', 15, r"keys\.0\.keyset: is missing: write datasets/keysets/areas\.csv"),
    (D, 'measure = "visits"', 'measure = "paid"', None, "suppression.measure: 'paid' is not a count"),
    (D, "[portal]", '[portal]\nheadline = "pad"', None, "portal.headline: 'pad' is not a published measure"),
    (D, 'kind = "count_units"', 'kind = "count"', None, "suppression.customers: customers are units"),
    (D, "customers = 15\n", "", None, "suppression: give customers and largest_share together"),
    (D, "threshold = 10", "threshold = 10.5", None, "suppression.threshold: must be a whole number"),
    (D, 'period = "month"', 'period = "week"', 5, "first: '2020-01' is not a week"),
    (D, 'period = "month"', 'period = "lifetime"', 4, "period: "),
    (D, 'period = "month"', 'period = "month"\ngrain = "week"', 5, "grain: a month cannot be divided into whole weeks"),
    (D, 'last = "2020-12"', 'last = "2019-12"', 6, "last: is before first"),
    (D, 'first = "2020-01"', 'first = "9999-12"', 5, "first: "),
    (D, 'first = "2020-01"', "first = 2020-01-01", 5, "first: must be a text"),
    (ZONES, "key,label", "keys,label", 1, "a keyset's columns are"),
    (ZONES, "b,Zone B", "a,Zone B", 3, "the key 'a' is already on line 2"),
    (ZONES, "b,Zone B", " ,Zone B", 3, "the key is empty"),
    (ZONES, "b,Zone B", "b", 3, "has 1 values"),
    (ZONES, "b,Zone B", '"b,Zone B', 3, "is not CSV"),
    (ZONES, "a,Zone A\nb,Zone B\n", "", 1, "has no keys: write a header, then one key per line"),
    (ZONES, "key,label\na,Zone A\nb,Zone B\n", "", 1, "has no keys: write a header"),
    (SPELLINGS, "B,b", "A,b", 3, "the key 'A' is already on line 2"),
    (SPELLINGS, "spelling,zone", "zone,Zone", 1, "two columns have the same name"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "line", "words"), FAULTS, ids=[f"{f[0]}-{f[4]}" for f in FAULTS])
def test_one_fault_is_one_message(tmp_path: Path, file: str, old: str, new: str, line: int | None, words: str) -> None:
    """Each fault is one line `file:line: key: what to do`, with the line where the key stands."""
    make(tmp_path, (file, old, new))
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert message.startswith(f"{file}:{line}: " if line else file), message
    assert re.search(words, message), message


@pytest.mark.parametrize("variable", [None, "PUBLISHER_DATA", "PUBLISHER_STATE"])
def test_a_folder_whose_path_is_no_text_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    """The workspace, its data or its state below a name in an older encoding: it is shown, and what to do."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9p\xf4t"))
    if variable is not None:
        monkeypatch.setenv(variable, str(odd))
    folder = tmp_path if variable is not None else odd
    make(folder)
    with pytest.raises(DefinitionError, match=r"/d\\xe9p\\xf4t: the path of this folder is not UTF-8: rename it$"):
        find_workspace(folder)


def test_the_workspace_without_faults_loads(tmp_path: Path) -> None:
    """What the faults are planted in has none of its own."""
    make(tmp_path)
    load(tmp_path)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    """Several faults of a file are said together, a line each."""
    make(tmp_path, (D, "rho = 0.1", "rho = 0"), (D, "max_groups = 2", "max_groups = -1"), (D, "threshold", "treshold"))
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path)
    starts = [line.split(": ")[:2] for line in str(caught.value).splitlines()]
    assert [start[1] for start in starts] == [
        "loss.rho",
        "bounds.max_groups",
        "suppression.threshold",
        "suppression.treshold",
    ]
    assert [start[0] for start in starts[:2]] == [f"{D}:8", f"{D}:10"]


def test_losses_are_exact(tmp_path: Path) -> None:
    """A loss, a share and a clamp are what was written, never a float near it."""
    make(tmp_path)
    definition = find_workspace(tmp_path).dataset("visits").definition
    assert definition.loss.amount == Fraction(1, 10)
    assert [definition.loss_of(each) for each in definition.measured] == [Fraction(4, 100), Fraction(6, 100)]
    assert definition.measures[1].clamps == (0, 40)
    assert find_workspace(tmp_path).source("visits").definition.privacy.budget == Decimal("0.5")


def test_a_dataset_without_keys_has_one_cell(tmp_path: Path) -> None:
    """A number a period, and no rollup beside it: it would be the same table."""
    make(tmp_path)
    path = tmp_path / D
    text = path.read_text()
    keys = text[text.index("[[keys]]") : text.index("[[measures]]")]
    path.write_text(text.replace(keys, ""))
    dataset = find_workspace(tmp_path).dataset("visits")
    assert dataset.grid(parse("2020-01")).size == 1
    path.write_text(text.replace(keys, '[[rollups]]\nname = "all"\ntitle = "All"\n\n'))
    with pytest.raises(DefinitionError, match=r"rollups\.0"):
        load(tmp_path)


def test_equal_shares_are_exact(tmp_path: Path) -> None:
    """Without shares each of three tables gets exactly a third."""
    make(tmp_path)
    values, origin = read_toml(tmp_path / D, D)
    third = values["measures"][0] | {"name": "third", "share": None}
    measures = tuple(each | {"share": None} for each in (*values["measures"][:2], third))
    definition = build(Dataset, values | {"measures": measures}, origin)
    assert sum(definition.loss_of(each) for each in definition.measured) == Fraction(1, 10)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A source without SELECT, an unknown dataset and a folder without workspace say what to write."""
    with pytest.raises(DefinitionError, match="publisher init"):
        find_workspace(tmp_path)
    make(tmp_path)
    (tmp_path / "pipelines/visits.sql").unlink()
    with pytest.raises(DefinitionError, match=r"pipelines/visits\.toml:1: file: its SELECT is missing"):
        load(tmp_path)
    make(tmp_path)
    with pytest.raises(DefinitionError, match="there is no dataset 'x'; this workspace has: visits"):
        find_workspace(tmp_path).dataset("x")


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Binary junk in any definition is one message, not a traceback."""
    for name in (W, S, D, ZONES, SPELLINGS, "pipelines/visits.sql"):
        make(tmp_path)
        (tmp_path / name).write_bytes(b"\xff\xfe\x00junk")
        with pytest.raises(DefinitionError, match=f"{name}: is not UTF-8 text"):
            load(tmp_path)


def test_files_that_are_folders_are_refused(tmp_path: Path) -> None:
    """Also `publisher.toml` itself, which is not looked for further up then; and one that leads nowhere."""
    for name in (W, S, D):
        make(tmp_path / name)
        (tmp_path / name / name).unlink()
        (tmp_path / name / name).mkdir()
        with pytest.raises(DefinitionError, match=f"{name}: cannot be read: Is a directory"):
            load(tmp_path / name)
    (tmp_path / W / W).rmdir()
    (tmp_path / W / W).symlink_to("nowhere")
    with pytest.raises(DefinitionError, match=f"{W}: cannot be read: No such file"):
        find_workspace(tmp_path / W)


NESTED = """\
title = "Visits"
description = \"\"\"
rho = 1
[keys]
\"\"\"
tags = [
  "one", # [[keys]]
  "two = 2",
  '''three = 3
[suppression]
''',
]
source = "visits \u2028 = 4"

[[keys]]
name = "zone"
[keys.discover]
share = 2
[[keys]]
name = "sort"
[keys.discover] # the second one
delta = { of = 1 }
[[keys.parts]]
size = 1
[[keys.parts]]
size = 2
[keys.parts.of]
what = 3
"""


def test_lines_are_those_of_the_keys(tmp_path: Path) -> None:
    """A table below an array of tables belongs to its last one; what stands in a text or an array is no key."""
    (tmp_path / "x.toml").write_text(NESTED, encoding="utf-8")
    values, origin = read_toml(tmp_path / "x.toml", "x.toml")
    numbers = {text: n for n, text in enumerate(NESTED.split("\n"), 1)}
    at = {
        ("keys", 0, "discover"): numbers["[keys.discover]"],
        ("keys", 0, "discover", "share"): numbers["share = 2"],
        ("keys", 1, "name"): numbers['name = "sort"'],
        ("keys", 1, "discover"): numbers["[keys.discover] # the second one"],
        ("keys", 1, "discover", "delta", "of"): numbers["delta = { of = 1 }"],
        ("keys", 1, "parts", 0, "size"): numbers["size = 1"],
        ("keys", 1, "parts", 1, "of", "what"): numbers["what = 3"],
        ("tags", 1): numbers["tags = ["],
    }
    assert {key: origin.error(key, "x").args[0].split(":")[1] for key in at} == {k: str(n) for k, n in at.items()}
    assert {key[0] for key in origin.lines} == values.keys()
    assert not {("rho",), ("keys", "rho"), ("tags", "two"), ("suppression",)} & origin.lines.keys()


def test_the_portal_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PUBLISHER_PORTAL stands in for the url; one that is no address is refused under its own name."""
    make(tmp_path)
    monkeypatch.setenv("PUBLISHER_PORTAL", "http://127.0.0.1:8399")
    assert find_workspace(tmp_path).settings.portal.url == "http://127.0.0.1:8399"
    for wrong in ("8399", "http://127.0.0.1:8399/x", "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://[::1"):
        monkeypatch.setenv("PUBLISHER_PORTAL", wrong)
        with pytest.raises(DefinitionError, match=r"^PUBLISHER_PORTAL: is not an address"):
            find_workspace(tmp_path)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"\xef\xbb\xbfkey\na\n", ("a",)),
        (b'key\r\na\r\n"b\r\nc"\r\n', ("a", "b\r\nc")),
        ('key\n"a\x85b"\na\x0cb\n'.encode(), ("a\x85b", "a\x0cb")),
        (b'key\n"say ""a"""\n', ('say "a"',)),
    ],
)
def test_keysets_are_read_as_csv(tmp_path: Path, content: bytes, keys: tuple[str, ...]) -> None:
    """Byte order marks, quotes and unusual line ends inside a key are what CSV says they are."""
    (tmp_path / "k.csv").write_bytes(content)
    assert read_keyset(tmp_path / "k.csv", "k.csv").keys == keys
    assert [row[0] for row in read_lookup(tmp_path / "k.csv", "k.csv").rows] == list(keys)


def test_schemas_accept_what_is_shipped_and_refuse_faults() -> None:
    """The JSON Schemas validate the repository's own files, and not one with an unknown key or a wrong type."""
    files = {
        "workspace": [ROOT / W],
        "source": (ROOT / "pipelines").glob("*.toml"),
        "dataset": (ROOT / "datasets").glob("*.toml"),
    }
    assert files.keys() == KINDS.keys()
    for kind, paths in files.items():
        checker = jsonschema.Draft202012Validator(schema_of(kind))
        checker.check_schema(schema_of(kind))
        for path in paths:
            values = tomllib.loads(path.read_text())
            assert list(checker.iter_errors(values)) == [], path
            assert not checker.is_valid(values | {"unknown_key": 1})
            assert not checker.is_valid({})


def test_what_is_shipped_loads() -> None:
    """Every definition of the repository is without fault and keeps the ceilings: ρ ≤ 0.1 a release, ≤ 0.5 a block."""
    workspace = find_workspace(ROOT)
    assert workspace.datasets
    for dataset in workspace.datasets.values():
        assert dataset.definition.loss.amount <= Fraction(1, 10)
        assert dataset.source.definition.privacy.budget <= Decimal("0.5")


@pytest.mark.parametrize(
    ("feed", "path", "refused"),
    [
        ("feed/a.csv", "feed/a.csv", True),
        ("feed/a.csv", "./feed//a.csv", True),
        ("feed/a.csv", "feed/a.csv.gz", True),
        ("feed/a.csv", "feed/b.csv", False),
        ("feed", "feed/deep/list.csv", True),
        ("feed", "feeds/list.csv", False),
        ("feed/*.csv", "feed/list.csv", True),
        ("feed/*.csv", "feed/deep/list.csv", False),
        ("feed/**/*.csv", "feed/deep/list.csv", True),
        (".", "list.csv", True),
    ],
)
@pytest.mark.parametrize("which", ["list", "boundaries"])
def test_a_feed_locates_no_records(feed: str, path: str, refused: bool, which: str) -> None:
    """A file that any source of the workspace reads records from is neither an address list nor boundaries."""
    place: dict[str, Any] = {"boundaries": {"path": "zones.geojson", "key": "name", "source": "City, CC0"}}
    if which == "boundaries":
        place = {"point": {"x": "x", "y": "y"}, "boundaries": {**place["boundaries"], "path": path}}
    else:
        listed = {"path": path, "address": "a", "x": "x", "y": "y", "source": "County, CC0"}
        place["address"] = {"column": "x", "list": listed}
    source = Source.model_construct(places={"zone": Place.model_validate(place)}, feed=FileFeed(path="own.csv"))
    other = Source.model_construct(places={}, feed=FileFeed(path=feed))
    with pytest.raises(DefinitionError, match="the feed of the source other") if refused else nullcontext():
        check_reference_files(source, {"own": source, "other": other}, Origin("own.toml", {}))
