"""`headgate limits reset`: asks a running server, because only those who count know what has tripped."""

from __future__ import annotations

from urllib.parse import urlencode

import click
import msgspec

from headgate.admin.standing import LimitStanding, LimitStandings
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
    whose = {name: value for name, value in body.items() if value is not None}
    limits = ask("GET", f"/admin/usage/limits?{urlencode(whose)}", url=url, config_path=config_path)
    tripped = [one for one in msgspec.json.decode(limits, type=LimitStandings).data if one.tripped]
    for one in tripped:
        click.echo(_still_stopped(tenant, one), err=True)
    if not tripped:
        unless = "" if key else ", unless their key has tripped too" if user else ", unless their user or key has"
        click.echo(f"Requests pass again{unless}.", err=True)


def _still_stopped(tenant: str, one: LimitStanding) -> str:
    """A key, its user and its tenant each have a velocity, and often trip together."""
    whose = f" --{one.scope} {one.subject}" if one.subject else ""
    what = f"the {one.scope} {one.subject}" if one.subject else f"the tenant {tenant}"
    return f"It is closed. The velocity of {what} stops requests too: headgate limits reset --tenant {tenant}{whose}"
