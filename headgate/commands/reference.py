"""The page about the command line: an introduction, then what every command says of itself with --help.

python -m headgate.commands.reference > docs/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from headgate.cli import headgate

WIDTH = 100
_INTRODUCTION = """\
# The command line

`headgate COMMAND --help` says what is on this page; it is written from the same text. `make run` puts the command into
`.venv/bin`: `export PATH="$PWD/.venv/bin:$PATH"`.

- `--config FILE` names the configuration, as does the variable `HEADGATE_CONFIG`. Without either there is a built-in
  one: the simulated model, data in `./headgate-data`, and OpenAI's models if `OPENAI_API_KEY` is set.
- `keys`, `limits`, `budgets`, `usage`, `reconcile`, `audit`, `config diff` and `backup` work on the database itself,
  beside a running server or without one. A server sees changes within 2 seconds. `limits reset` asks the server.
- If there is no database yet, they make it and say so; `usage`, `audit`, `keys list` and `config diff` refuse instead.
- What programs want is on standard output and nothing else is; what people want to know besides is on standard error.
  There every change leaves its audit line too, as the server would write it.
- Exit code 0: done. 1: it could not be done, and standard error says why in one sentence. 2: the command line is wrong.

```sh
export HEADGATE_CONFIG=headgate.yaml
headgate check headgate.yaml && headgate serve --workers 4
KEY=$(headgate keys create --tenant acme --user alice --expires-in 90d)
headgate usage --by model --since 7d
```
"""


def reference() -> str:
    """The whole page as Markdown."""
    sections = [f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in _help(headgate, "headgate")]
    return "\n".join([_INTRODUCTION, *sections])


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The name and the help of a command and of those below it."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from _help(found, below, context)


if __name__ == "__main__":
    sys.stdout.write(reference())
