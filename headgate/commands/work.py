"""`headgate work`."""

from __future__ import annotations

import os
import sys
from typing import Literal

import click

from headgate.commands.options import config_option
from headgate.serving.hired import WorkOptions
from headgate.serving.hired import work as run

MOST = 10_000


class Concurrency(click.ParamType[int | Literal["auto"]]):
    """A number, or auto."""

    name = "auto|N"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> int | Literal["auto"]:
        text = str(value)
        if text == "auto":
            return "auto"
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST):
            self.fail(f"is neither auto nor a number from 1 to {MOST}.", param, context)
        return int(text)


@click.command()
@config_option
@click.option("--concurrency", type=Concurrency(), help="Items at once; default: jobs.concurrency.")
@click.option("--queue", metavar="ADDRESS", help="Where it hears that there is work: sql, redis://..., default: queue.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where /metrics, /healthz and /readyz are.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one.")
def work(
    config_path: str | None, concurrency: int | Literal["auto"] | None, queue: str | None, host: str, port: int
) -> None:
    """Work on jobs, and serve nothing: beside gateways with the same configuration, until SIGTERM or ctrl-C.

    As many as you like, on as many machines as reach the database. What they have under way when they are told to end
    gets server.drain_seconds, then it is given back. SIGHUP reads the configuration again.
    """
    sys.exit(run(WorkOptions(config_path, host, port, concurrency, queue), os.environ))
