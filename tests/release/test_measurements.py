"""Unbiased measurements as a dataset publishes them: in units, with keys, and with what a margin needs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from release_examples import drawn, rich

from publisher.pipeline.editions import unbiased
from publisher.release.measurements import columns_of
from publisher.release.table import measurements_table
from publisher.stages import Mechanism

if TYPE_CHECKING:
    from small_town import Town

    from publisher.workspace import DatasetFile


def asking(town: Town, **fields: Any) -> DatasetFile:
    return replace(town, dataset=town.dataset | {"publish_measurements": True} | fields).dataset_file()


def test_nothing_is_published_unasked(town: Town) -> None:
    """A dataset that does not ask publishes none of its measurements."""
    dataset = rich(town).dataset_file()
    assert unbiased(dataset, drawn(dataset), 1) == {}


def test_values_are_in_units_with_their_variance(town: Town) -> None:
    """Every table has its cells' keys, the numbers as drawn times their resolution, and their noise's variance in the
    unit, squared. What is withheld is there, and no number is cut at zero; several draws add up."""
    quarters = {"resolution": Decimal("0.25")}
    measures = tuple(each | (quarters if each["kind"] == "sum" else {}) for each in rich(town).dataset["measures"])
    dataset = asking(rich(town), measures=measures)
    noisy = drawn(dataset, start=-7)
    again = Mechanism("requests", "discrete gaussian", 1.5, "", Fraction(1, 30), "", "")
    noisy = replace(noisy, mechanisms=(*noisy.mechanisms, again))
    tables = unbiased(dataset, noisy, 3)
    assert set(tables) == {level.name for level in noisy.levels}
    steps, found = measurements_table(noisy, noisy.levels[-1]), tables[""]
    assert found.column_names[:6] == ["id", "period", "period_start", "place", "place_name", "category"]
    for name in ("id", "requests", "sizes_1"):
        assert found[name].to_pylist() == steps[name].to_pylist()
    assert min(found["requests"].to_pylist()) == -7
    assert found["paid"].to_pylist() == [each / 4 for each in steps["paid"].to_pylist()]
    for name, variance in (("requests", 4 + 1.5**2), ("paid", 4 / 16)):
        assert found[f"{name}_variance"].to_pylist() == pytest.approx([variance] * found.num_rows, abs=1e-6)
    assert set(found["edition"].to_pylist()) == {3}


def test_every_column_says_what_it_is(town: Town) -> None:
    """Title, unit and meaning stand with each column, and the draws of its noise with their scales in that unit."""
    dataset = asking(rich(town))
    found = columns_of(unbiased(dataset, drawn(dataset), 1)[""])
    assert all(column.title and column.description for column in found.values())
    paid = found["paid"]
    step = next(float(each.resolution or 1) for each in dataset.definition.measures if each.name == "paid")
    assert (paid.draws, paid.deviation) == ((("discrete gaussian", 2.0 * step),), pytest.approx(2.0 * step))
    assert found["sizes_1"].title.endswith(": 2 to less than 5")
    assert found["sizes_2"].title.endswith(": 5 or more")
    assert found["sizes_1"].unit == "records"
    assert not found["requests_variance"].draws
