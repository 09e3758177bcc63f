"""What is printed once at a start: where to send requests, and the keys that were made just now.

The first virtual key is made only when there is no configuration file and no key at all.
"""

from __future__ import annotations

import logging

from headgate import __version__
from headgate.app import Application
from headgate.config.defaults import DEFAULT_TENANT, DEFAULT_TIER
from headgate.config.load import BUILT_IN
from headgate.config.problems import line_of
from headgate.gateway.accounts import NewKey
from headgate.types import Frozen, Severity

log = logging.getLogger(__name__)

_NO_KEY_HERE = "hg-..."


class Welcome(Frozen, frozen=True):
    """What there is to say. Secrets are there only if they were made just now."""

    version: str
    url: str
    data_dir: str
    model: str
    admin_secret: str | None
    virtual_key: str | None
    needs_key: bool
    tenant: str | None  # to make a key for, when there is none yet

    def text(self) -> str:
        """Ends with a line that can be pasted into a shell."""
        lines = [f"headgate {self.version} listens on {self.url}", ""]
        if self.admin_secret:
            lines.append(f"  admin key     {self.admin_secret}")
        if self.virtual_key:
            lines.append(f"  virtual key   {self.virtual_key}")
        if self.admin_secret or self.virtual_key:
            lines += [f"  (shown this once; {self.data_dir} keeps only their hashes)", ""]
        if self.needs_key and not self.virtual_key and self.tenant:
            lines += [f"  a virtual key: headgate keys create --tenant {self.tenant}", ""]
        return "\n".join([*lines, self._curl(), ""])

    def _curl(self) -> str:
        key = f" -H 'authorization: Bearer {self.virtual_key or _NO_KEY_HERE}'" if self.needs_key else ""
        body = f'{{"model": "{self.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
        return f"curl {self.url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'"


async def welcome(application: Application, url: str, admin_secret: str | None) -> str:
    """What to print, with the first virtual key if it is time to make it. Raises DatabaseUnavailable."""
    running = application.running
    for note in running.loaded.notes:
        log.log(logging.WARNING if note.severity is Severity.WARNING else logging.INFO, "%s", line_of(note))
    config = running.loaded.config
    server, has_keys = config.server, any(tenant.keys for tenant in config.tenants.values())
    return Welcome(
        version=__version__,
        url=url,
        data_dir=server.data_dir,
        model=next(iter(running.setup.models), "MODEL"),
        admin_secret=admin_secret,
        virtual_key=await _first_key(application),
        needs_key=server.authentication == "required",
        tenant=None if has_keys else next(iter(config.tenants), None),
    ).text()


def told_to_work(url: str, admin_secret: str | None) -> str:
    """What a process prints that only works on jobs, or takes them in."""
    made = f"\n  admin key     {admin_secret} (shown this once)" if admin_secret else ""
    return f"headgate {__version__} works on jobs or takes them in; {url}/metrics and {url}/readyz tell how it is{made}"


async def _first_key(application: Application) -> str | None:
    """Make the first virtual key, if this is the first start without a configuration."""
    accounts = application.accounts
    if application.running.loaded.source != BUILT_IN or accounts.keys():
        return None
    secret, _ = await accounts.create(NewKey(tenant=DEFAULT_TENANT, tier=DEFAULT_TIER, name="first"))
    return secret
