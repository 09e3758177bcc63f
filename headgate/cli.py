"""The command line: which commands there are, and how they fail.

A command's module is imported when it is called, so that none pays for what only another one needs.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

import click

from headgate import __version__
from headgate.errors import HeadgateError
from headgate.serving.failures import sentence

COMMANDS = {
    "serve": "headgate.commands.serve:serve",
    "work": "headgate.commands.work:work",
    "consume": "headgate.commands.consume:consume",
    "check": "headgate.commands.check:check",
    "keys": "headgate.commands.keys:keys",
    "limits": "headgate.commands.limits:limits",
    "budgets": "headgate.commands.budgets:budgets",
    "usage": "headgate.commands.usage:usage",
    "reconcile": "headgate.commands.reconcile:reconcile",
    "audit": "headgate.commands.audit:audit",
    "cache": "headgate.commands.cache:cache",
    "config": "headgate.commands.config:config",
    "jobs": "headgate.commands.jobs:jobs",
    "batch": "headgate.commands.batch:batch",
    "dlq": "headgate.commands.dlq:dlq",
    "alerts": "headgate.commands.alerts:alerts",
    "embedder": "headgate.commands.embedder:embedder",
    "route": "headgate.commands.route:route",
    "backup": "headgate.commands.backup:backup",
    "version": "headgate.commands.version:version",
}


class Commands(click.Group):
    """Finds commands by their names in `COMMANDS`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, and with the nearest name for one that is misspelt."""
        if words[0] in COMMANDS:
            return super().resolve_command(context, words)
        from headgate.config.problems import nearest

        hint = nearest(words[0], COMMANDS, "commands")
        raise click.UsageError(f"No such command '{words[0]}'; {hint}", context)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        gc.disable()  # what is imported stays: looking through it for garbage takes a tenth of a start
        command = getattr(importlib.import_module(module), attribute)
        gc.enable()
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands)
@click.version_option(__version__)
def headgate() -> None:
    """Keep an LLM product fast, cheap and stable under load."""


def main() -> None:
    """Run a command. What goes wrong is said in one sentence on stderr: exit code 1, or 2 for a wrong command line."""
    # Before anything imports numpy: its threads would take the cores from other processes for a millisecond's work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        headgate.main(prog_name="headgate")
    except (HeadgateError, OSError) as error:
        sys.exit(sentence(error))
