"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from headgate.assembly.where import Where

config_option = click.option(
    "--config",
    "config_path",
    metavar="FILE",
    envvar="HEADGATE_CONFIG",
    help="The configuration file; default: the variable HEADGATE_CONFIG, or the built-in configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the admin API gives it.")


def database_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --config and --data-dir, which reach the command together as `where`."""

    @config_option
    @click.option("--data-dir", metavar="DIR", help="Where the data is; default: server.data_dir of the configuration.")
    @functools.wraps(command)
    def with_where(config_path: str | None, data_dir: str | None, **others: object) -> None:
        command(where=Where(config_path, data_dir), **others)

    return with_where
