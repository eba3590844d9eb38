"""Plan: what releases will cost, and how accurate they will be."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.root import (
    agree,
    command,
    datasets_of,
    json_option,
    nothing_defined,
    refuse_together,
    say,
    workspace_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@command()
@click.argument("datasets", nargs=-1)
@click.option(
    "--typical", "guesses", multiple=True, metavar="[MEASURE=]NUMBER", help="Guess the value of a typical cell."
)
@click.option(
    "--compare", "settings", multiple=True, metavar="SETTING=VALUES", help="Compare other values side by side."
)
@click.option("--split", "splitting", is_flag=True, help="Suggest how to split the loss among the tables.")
@click.option("--weights", metavar="TABLE=NUMBER,...", help="Weight of each table in the split (default: 1).")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the margins in an SVG file.")
@click.option("--goal", metavar="WORDS", help="Say what numbers should be good for, and get the settings for it.")
@click.option("--guess", "sizes", multiple=True, metavar="WORDS", help="For --goal: how much there is, from elsewhere.")
@click.option("--tune", "measuring", metavar="PERIOD", help="For --goal: measure what units have, for a charge.")
@click.option("--write", "writing", is_flag=True, help="For --goal: write the settings into the dataset's file.")
@click.option("--yes", is_flag=True, help="Agree to the charge of --tune and to what --write changes.")
@json_option
@click.pass_obj
def plan(
    folder: Path,
    datasets: Sequence[str],
    guesses: Sequence[str],
    settings: Sequence[str],
    splitting: bool,
    weights: str | None,
    picture: Path | None,
    goal: str | None,
    sizes: tuple[str, ...],
    measuring: str | None,
    writing: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what releases will cost and how accurate they will be.

    Spends nothing. Reads definitions, keysets, the ledger and earlier releases, never a record.

    With --goal it proposes time step, keys, rollups, bounds, loss and threshold for one dataset, which may still be a
    draft, and shows what a resident, a planner and a privacy officer would see. Only --tune charges, after asking.

    \b
    Examples:
      publisher plan
      publisher plan stlouis-requests --typical 25
      publisher plan alicante-water --compare rho=0.1,0.2 --compare threshold=5,10
      publisher plan stlouis-requests --compare share.city=0.05,0.2
      publisher plan stlouis-requests --split --weights city=1,finest=3
      publisher plan stlouis-requests --picture margins.svg
      publisher plan stlouis-requests --goal "weekly by part, within 20%" \\
        --guess "2,000 requests a week"
      publisher plan syracuse-permits --goal "quarterly by area, ±15" \\
        --tune 2013 --write
    """
    refuse_together({"--goal": goal, "--compare": settings, "--split": splitting or weights, "--picture": picture})
    refuse_together({"--goal": goal, "--typical": guesses})
    _refuse_without_goal(goal, {"--guess": sizes, "--tune": measuring, "--write": writing, "--yes": yes})
    if goal is not None:
        from publisher.commands.goal import GoalRequest, plan_goal

        if len(datasets) != 1:
            raise click.UsageError("--goal works on one dataset: name it, as in publisher plan NAME --goal WORDS")
        asked = GoalRequest(datasets[0], goal, sizes, measuring, writing, as_json)
        plan_goal(folder, asked, lambda words, undone: agree(words, yes=yes, undone=undone))
        return
    from publisher.commands.chart import write_picture
    from publisher.commands.plan import for_machines, print_candidates, print_plans, print_split
    from publisher.commands.terminal import print_json
    from publisher.planning.comparison import candidates, split, the_one
    from publisher.planning.forecast import public

    refuse_together({"--picture": picture, "--json": as_json})
    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    if nothing_defined(workspace, as_json=as_json):
        return
    facts = public(workspace, chosen, guesses)
    if settings:
        dataset = the_one(chosen, "--compare")
        found = candidates(dataset, settings, facts)
        print_json([asdict(each) for each in found]) if as_json else print_candidates(facts.plan(dataset), found)
    elif splitting or weights:
        dataset = the_one(chosen, "--split")
        best = split(dataset, weights, facts)
        print_json(asdict(best)) if as_json else print_split(best, facts.plan(dataset))
    elif picture is not None:
        write_picture(facts.plan(the_one(chosen, "--picture")), picture)
        say(f"Wrote {picture}: margin of error by the value of a cell")
    elif as_json:
        print_json([row for each in chosen for row in for_machines(facts.plan(each))])
    else:
        print_plans([facts.plan(each) for each in chosen])
        for words in facts.warnings:
            say(f"warning: {words}", err=True)


def _refuse_without_goal(goal: str | None, options: Mapping[str, object]) -> None:
    """Refuse options that would do nothing."""
    given = [name for name, value in options.items() if value]
    if given and goal is None:
        raise click.UsageError(f"{given[0]} is for --goal: say what the numbers should be good for")


@command()
@click.argument("source")
@click.option("--dataset", help="The dataset to measure for. Required if several use the source.")
@click.option("--period", required=True, help="One period of the dataset, or a longer one that covers several.")
@click.option("--rho", help="Privacy cost per block, if the budget is in rho.")
@click.option("--epsilon", help="Privacy cost per block, if the budget is in epsilon.")
@click.option("--column", help="Measure only the totals of this column. No measure has to sum it yet.")
@click.option("--bins", help="Where that column's bins end, such as 0,10,100,1000 (default: 1-2-5 steps).")
@click.option(
    "--keep",
    type=click.FloatRange(0.5, 1),
    help="Propose bounds that leave this share of units uncut, instead of those with the smallest total error.",
)
@click.option("--details", is_flag=True, help="Also print the noisy histograms and every choice of bounds.")
@click.option("--yes", is_flag=True, help="Charge the budget without asking.")
@json_option
@click.pass_obj
def tune(
    folder: Path,
    source: str,
    dataset: str | None,
    period: str,
    rho: str | None,
    epsilon: str | None,
    column: str | None,
    bins: str | None,
    keep: float | None,
    details: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Measure how much units contribute, and propose bounds.

    Says what is common, what the bounds cut and the noise costs, and proposes one choice. The answer is noisy and
    charged to the budget. The same question is drawn and charged once; asking it again is free, also with another
    --keep or with --details.

    \b
    Examples:
      publisher tune alicante-water --period 2016 --rho 0.01
      publisher tune alicante-water --period 2016 --rho 0.01 --keep 0.99
      publisher tune seattle-energy --dataset seattle-energy-city \\
        --period 2016 --rho 0.05
      publisher tune alicante-water --period 2016 --rho 0.01 \\
        --column consumption --bins 0,5000,10000,20000
    """
    from publisher.commands.terminal import print_json, working
    from publisher.commands.tune import print_advice
    from publisher.pipeline.measurement import measurement
    from publisher.pipeline.tuning import measured
    from publisher.planning.advice import advice

    asked = measurement(
        workspace_of(folder), source, dataset=dataset, period=period, rho=rho, epsilon=epsilon, column=column, bins=bins
    )
    say(asked.words(), err=True)
    if not (yes or asked.known):
        if not sys.stdin.isatty():
            raise click.UsageError(
                "this charges the budget, and there is no terminal to ask on: add --yes to agree. Nothing was charged."
            )
        click.confirm("Continue?", abort=True, err=True)
    with working(f"measuring {asked.dataset.name}", quiet=as_json) as progress:
        found = measured(asked, progress)
    advised = advice(asked, found, keep)
    if as_json:
        print_json(advised.as_json())
    else:
        print_advice(advised, details=details)
