"""`headgate check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from headgate.config.load import load
from headgate.config.problems import report
from headgate.errors import ConfigInvalid, InvalidRequest
from headgate.types import Problem, Severity


@click.command()
@click.argument("file")
@click.option("--workers", type=click.IntRange(1, 256), default=1, help="For so many processes; default: 1.")
def check(file: str, workers: int) -> None:
    """Check a configuration file: exit code 0 if it can be used, 1 if it has errors."""
    try:
        loaded = load(file, os.environ, workers)
        problems = (*loaded.notes, *_pipeline_problems(file, loaded.config.jobs.pipelines))
    except ConfigInvalid as error:
        problems = tuple(error.problems)
    click.echo(report(problems))
    sys.exit(any(problem.severity is Severity.ERROR for problem in problems))


def _pipeline_problems(file: str, named: Mapping[str, str]) -> list[Problem]:
    """Those that only show when the modules are imported."""
    found = []
    if named:
        from headgate.jobs.built_in import NAMES  # a while to load
        from headgate.pipelines import load_pipelines
    for name, place in named.items():
        try:
            load_pipelines({name: place}, NAMES)
        except InvalidRequest as error:
            where = f"jobs.pipelines.{name}"
            found.append(Problem(file, 0, 0, where, error.message.removeprefix(f"{where}: ")))
    return found
