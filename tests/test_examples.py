"""The examples in the docstrings of the central functions say what is so."""

from __future__ import annotations

import doctest
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from small_town import Town

MODULES = (
    "definitions.period",
    "engine.bounding",
    "portal.base.differences",
    "privacy.consistency",
    "privacy.distribution",
    "privacy.quantile",
    "privacy.reconcile",
    "privacy.selection",
    "privacy.sensitivity",
    "release.identity",
    "release.loss_distribution",
    "release.odds",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(town: Town, name: str) -> None:
    """Each of these modules has an example, and each gives what it shows; `dataset` is that of an invented town."""
    module = import_module(f"publisher.{name}")
    given = {"dataset": town.dataset_file()}
    found = doctest.testmod(module, extraglobs=given, optionflags=doctest.ELLIPSIS, report=False)
    assert found.attempted, f"{name} has no example"
    assert not found.failed
