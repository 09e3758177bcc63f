"""`headgate limits reset`: asks a running server, because only those who count know what has tripped."""

from __future__ import annotations

import click

from headgate.commands.asking import ask, url_option
from headgate.commands.options import config_option


@click.command()
@click.option("--tenant", metavar="NAME", required=True, help="Whose; without --user and --key the tenant's own.")
@click.option("--user", metavar="NAME", help="One of its users.")
@click.option("--key", metavar="ID", help="One of its keys.")
@url_option
@config_option
def reset(tenant: str, user: str | None, key: str | None, url: str | None, config_path: str | None) -> None:
    """Let requests pass again that a spend velocity stops. Needs the server, and its key in HEADGATE_ADMIN_KEY."""
    body = {"tenant": tenant, "user": user, "key": key}
    ask("POST", "/admin/velocity/reset", body, url=url, config_path=config_path)
    click.echo("Requests pass again.", err=True)
