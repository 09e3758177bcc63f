"""`headgate serve`."""

from __future__ import annotations

import os
import sys

import click

from headgate.commands.options import config_option
from headgate.serving.server import ServeOptions
from headgate.serving.server import serve as run


@click.command()
@config_option
@click.option("--host", help="The address to listen on; default: server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0: any free one; default: server.port.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="How many processes serve.")
def serve(config_path: str | None, host: str | None, port: int | None, workers: int) -> None:
    """Run the gateway until SIGTERM or ctrl-C. SIGHUP reads the configuration again."""
    sys.exit(run(ServeOptions(config_path, host, port, workers), os.environ))
