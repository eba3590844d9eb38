"""Check that a dataset and its source, and the sources of a workspace, fit each other. Each has been checked on its own
before."""

from __future__ import annotations

from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from publisher.definitions.ceilings import most_a_release
from publisher.definitions.feed import FileFeed
from publisher.definitions.period import NESTS
from publisher.definitions.vintage import check_editions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Source
    from publisher.definitions.toml import Origin


def check_pair(dataset: Dataset, source: Source, origin: Origin) -> None:
    """Raises DefinitionError naming the dataset's setting that the source does not allow."""
    if source.minors:
        _check_minors(dataset, source, origin)
    _check_losses(dataset, source, origin)
    _check_bounds(dataset, source, origin)
    if dataset.suppression.customers is not None and source.privacy.unit != "record":
        _check_customers(dataset, source, origin)
    if source.register_ is not None and source.privacy.window not in NESTS[dataset.period]:
        window = source.privacy.window
        words = f"a register's differences are within one {window}: use a period made of whole {window}s"
        raise origin.error(("period",), words)
    if source.late is not None and source.late.policy == "increment":
        _check_increment(dataset, source, origin)
    check_editions(dataset, source, origin)


def check_reference_files(source: Source, sources: Mapping[str, Source], origin: Origin) -> None:
    """Raises DefinitionError for a file that locates records and is itself a feed of one of the sources.

    Otherwise the records of one unit would decide where those of another are counted.
    """
    for setting, path in source.reference_files():
        for name, other in sources.items():
            if isinstance(other.feed, FileFeed) and is_feed(path, other.feed.path):
                raise origin.error(
                    setting,
                    f"{path} is a file of records, the feed of the source {name}: one record may not decide where "
                    "others are. Use a file from a public source, or the record's own coordinates (point)",
                )


def is_feed(path: str, feed: str) -> bool:
    """Whether the feed's path (a file, with or without .gz, a folder or a pattern) takes this file."""
    path, feed = (str(PurePosixPath(each)) for each in (path, feed))
    if "**" in feed:
        return fnmatchcase(path, feed.replace("**/", "*"))
    if any(c in feed for c in "*?["):
        pairs = zip(path.split("/"), feed.split("/"), strict=False)
        return path.count("/") == feed.count("/") and all(fnmatchcase(*pair) for pair in pairs)
    return path in (feed, f"{feed}.gz") or path.startswith(f"{feed}/") or feed == "."


def _check_minors(dataset: Dataset, source: Source, origin: Origin) -> None:
    for n, key in enumerate(dataset.keys):
        if key.discover is not None:
            words = f"keys must be public, since {dataset.source} is about minors: give a keyset"
            raise origin.error(("keys", n, "discover"), words)
    most = most_a_release(source.privacy.currency, minors=True)
    if Fraction(dataset.loss.amount) > most:
        words = f"is more than {float(most):g}, the most of a release, since {dataset.source} is about minors: lower it"
        name = "rho" if dataset.loss.currency == "zcdp" else "epsilon"
        raise origin.error(("loss", name), words)


def _check_losses(dataset: Dataset, source: Source, origin: Origin) -> None:
    privacy = source.privacy
    if dataset.loss.currency != privacy.currency:
        wanted = "rho" if privacy.currency == "zcdp" else "epsilon"
        raise origin.error(("loss",), f"the budget of source {dataset.source} is in {wanted}: give {wanted}")
    if dataset.loss.amount > privacy.budget:
        raise origin.error(("loss",), f"one release would spend more than a block's whole budget, {privacy.budget}")
    if dataset.delta > privacy.delta:
        raise origin.error(
            ("keys",), f"one release would spend more δ than the source's privacy.delta, {privacy.delta}"
        )


def _check_bounds(dataset: Dataset, source: Source, origin: Origin) -> None:
    groups = dataset.bounds.max_groups, dataset.bounds.max_per_group
    wider = dataset.bounds.wider.max_groups, dataset.bounds.wider.max_per_group
    if source.privacy.unit == "record" and wider != (1, 1) and groups == (1, 1):
        words = "a record counts once in one cell, so only a sum is bounded: delete wider_groups and wider_per_group"
        raise origin.error(("bounds", "coverage_share"), words)
    if source.privacy.unit == "record" and groups != (1, 1):
        raise origin.error(("bounds",), "a record counts once in one cell: delete [bounds] if the unit is record")
    if source.privacy.unit != "record" and "bounds" not in dataset.model_fields_set:
        raise origin.error((), "[bounds] is missing: set max_groups and max_per_group for the source's unit")


def _check_customers(dataset: Dataset, source: Source, origin: Origin) -> None:
    setting, window = ("suppression", "customers"), source.privacy.window
    counted = next(each for each in dataset.measures if each.name == dataset.suppression.measure)
    if counted.kind != "count_units":
        raise origin.error(setting, "customers are units: set suppression.measure to a count_units measure")
    for grain in (dataset.cell_grain, *(rollup.grain for rollup in dataset.rollups if rollup.grain is not None)):
        if grain != window and window in NESTS[grain]:
            words = f"a cell of one {grain} covers several windows of one {window}, and a customer counts in each"
            raise origin.error(setting, words)


def _check_increment(dataset: Dataset, source: Source, origin: Origin) -> None:
    if dataset.discovered is not None:
        raise origin.error(
            ("keys",), "keys cannot be discovered if later editions add to earlier ones (late.policy is increment)"
        )
    for n, measure in enumerate(dataset.measures):
        if source.privacy.unit != "record" and measure.kind == "sum" and measure.clamps[0] < 0:
            words = "must be 0 or more if later editions add to earlier ones: what was added is never taken back"
            raise origin.error(("measures", n, "lower"), words)
