"""`publisher plan --compare` and `--split`: compares losses, thresholds and shares side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import TYPE_CHECKING, Any

from publisher.definitions.dataset import Dataset
from publisher.definitions.model import ordinary
from publisher.definitions.toml import build
from publisher.errors import DefinitionError
from publisher.planning.forecast import (
    Forecast,
    Public,
    Widths,
    first_period,
    plan_of,
    problem_of,
    widths_of,
)
from publisher.planning.pace import releases_of_a_new_block
from publisher.privacy.allocation import suggested_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.definitions.dataset import Rollup
    from publisher.stages import Table
    from publisher.workspace import DatasetFile

MOST = 60
"""The most combinations in one comparison: no one would read more."""

FINEST = "finest"
"""The name of the dataset's own table among its rollups."""

Choice = tuple[tuple[str, Decimal], ...]
"""One value for each setting that varies."""


@dataclass(frozen=True)
class Alternative:
    """The dataset as it would be with other settings."""

    settings: dict[str, str]
    releases_a_block: int
    """How many releases a block can pay for if nothing was spent on it yet."""
    tables: tuple[Forecast, ...]


@dataclass(frozen=True)
class SplitPart:
    """One table's part of a suggested split; margins are by measure."""

    level: str
    weight: str
    share: float
    suggested: float
    margins: dict[str, Widths]
    suggested_margins: dict[str, Widths]


@dataclass(frozen=True)
class Split:
    """Shares of the loss by table, in order; `gain` is the share by which the weighted error falls."""

    dataset: str
    parts: tuple[SplitPart, ...]
    gain: float


def the_one(datasets: Sequence[DatasetFile], option: str) -> DatasetFile:
    """The only dataset. Raises DefinitionError when there are several."""
    if len(datasets) != 1:
        raise DefinitionError(f"{option} works on one dataset: name it, as in `publisher plan NAME {option} …`")
    return datasets[0]


def candidates(dataset: DatasetFile, options: Sequence[str], facts: Public) -> list[Alternative]:
    """Every combination of the options, such as `rho=0.05,0.1` and `threshold=5,10`. Raises DefinitionError."""
    settings = _settings(dataset, options)
    choices: list[Choice] = [tuple(zip(settings, values, strict=True)) for values in product(*settings.values())]
    if len(choices) > MOST:
        raise DefinitionError(f"--compare: {len(choices)} combinations are too many; the most is {MOST}")
    return [_candidate(dataset, choice, facts) for choice in choices]


def split(dataset: DatasetFile, weights: str | None, facts: Public) -> Split:
    """The split of the loss among the tables with the smallest weighted error. Raises DefinitionError."""
    definition = dataset.definition
    if not definition.rollups:
        raise DefinitionError(f"{dataset.name} has no rollups: there is nothing to split")
    levels = dataset.levels(first_period(dataset, facts.pace(dataset)))
    given = _weights(dataset, weights)
    problem = problem_of(definition, levels, [float(given[level.name or FINEST]) for level in levels])
    shares = dict(zip([level.name for level in levels], suggested_split(problem), strict=True))
    other = _varied(
        dataset, tuple((f"share.{name}", Decimal(str(float(part)))) for name, part in shares.items() if name)
    )
    before, after = widths_of(definition, levels), widths_of(other.definition, levels)
    parts = tuple(
        SplitPart(
            level=level.name or FINEST,
            weight=f"{given[level.name or FINEST]:f}",
            share=float(level.share),
            suggested=float(shares[level.name]),
            margins=_of_level(before, level.name),
            suggested_margins=_of_level(after, level.name),
        )
        for level in levels
    )
    now = problem.cost([float(level.share) for level in levels])
    return Split(dataset.name, parts, 1 - problem.cost([float(part) for part in shares.values()]) / now)


def toml_of(found: Split, definition: Dataset) -> str:
    """The rollups with their suggested shares, to paste over those in the dataset's file."""
    shares = {part.level: part.suggested for part in found.parts}
    return "\n\n".join(_toml(rollup, shares[rollup.name]) for rollup in definition.rollups)


def _toml(rollup: Rollup, share: float) -> str:
    keys = f"[{', '.join(_text(key) for key in rollup.keys)}]"
    lines = ["[[rollups]]", f"name = {_text(rollup.name)}", f"title = {_text(rollup.title)}", f"keys = {keys}"]
    lines += [f"grain = {_text(rollup.grain)}"] if rollup.grain else []
    lines += [f"share = {share:g}", *([] if rollup.publish else ["publish = false"])]
    return "\n".join(lines)


def _text(text: str) -> str:
    """A TOML basic string; JSON's escapes are among its own."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _of_level(widths: Mapping[Table, Widths], level: str) -> dict[str, Widths]:
    return {name: width for (of, name), width in widths.items() if of == level}


def _candidate(dataset: DatasetFile, choice: Choice, facts: Public) -> Alternative:
    varied = _varied(dataset, choice)
    plan = plan_of(varied, facts.pace(varied), facts.known[dataset.name], facts.odds(varied))
    return Alternative({name: f"{value:f}" for name, value in choice}, releases_of_a_new_block(varied), plan.tables)


def _settings(dataset: DatasetFile, options: Sequence[str]) -> dict[str, list[Decimal]]:
    """The values of each setting, in the order given."""
    found: dict[str, list[Decimal]] = {}
    for option in options:
        name, _, values = option.partition("=")
        name = name.strip()
        known = _known(dataset)
        if name not in known:
            raise DefinitionError(f"--compare {option}: {dataset.name} can compare {', '.join(known)}, not {name!r}")
        if name in found:
            raise DefinitionError(f"--compare: {name} is given twice: put all its values in one, such as {name}=1,2")
        found[name] = [_number(f"--compare {option}", text) for text in values.split(",")]
    return found


def _known(dataset: DatasetFile) -> tuple[str, ...]:
    """What can be compared."""
    loss = "rho" if dataset.definition.loss.currency == "zcdp" else "epsilon"
    return (loss, "threshold", *(f"share.{rollup.name}" for rollup in dataset.definition.rollups))


def _weights(dataset: DatasetFile, text: str | None) -> dict[str, Decimal]:
    """One weight for each table: those given, otherwise 1, or 0 for a table that is not published."""
    rollups = {rollup.name: Decimal(int(rollup.publish)) for rollup in dataset.definition.rollups}
    weights = rollups | {FINEST: Decimal(1)}
    for each in text.split(",") if text else ():
        name, _, number = (part.strip() for part in each.partition("="))
        if name not in weights:
            raise DefinitionError(f"--weights {text}: there is no table {name!r}; the tables are {', '.join(weights)}")
        weights[name] = _number(f"--weights {text}", number)
    if not any(weights.values()):
        raise DefinitionError(f"--weights {text}: at least one weight must be above 0")
    return weights


def _number(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not ordinary(number) or number < 0:
        raise DefinitionError(f"{option}: {text.strip()!r} is not a number such as 0.1")
    return number


def _varied(dataset: DatasetFile, choice: Choice) -> DatasetFile:
    """The dataset with other settings, checked by the same rules as its file."""
    values = dataset.definition.model_dump(by_alias=True, exclude_none=True)
    for name, value in choice:
        _set(values, name, value, dataset.definition)
    try:
        return replace(dataset, definition=build(Dataset, values, dataset.origin))
    except DefinitionError as error:
        words = " ".join(f"{name}={value:f}" for name, value in choice)
        # The file is fine: the fault is in what is compared.
        fault = str(error).splitlines()[0].removeprefix(f"{dataset.origin.name}:").partition(": ")[2]
        raise DefinitionError(f"--compare {words}: {fault}") from None


def _set(values: dict[str, Any], name: str, value: Decimal, definition: Dataset) -> None:
    if name == "threshold":
        values["suppression"]["threshold"] = int(value) if value == int(value) else value
    elif name.startswith("share."):
        for rollup in values["rollups"]:
            given = value if f"share.{rollup['name']}" == name else None
            rollup["share"] = given if given is not None else rollup.get("share", _decimal(definition, rollup["name"]))
    else:
        values["loss"] = {name: value}


def _decimal(definition: Dataset, level: str) -> Decimal:
    share = definition.share_of(level)
    return Decimal(share.numerator) / Decimal(share.denominator)
