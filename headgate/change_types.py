"""The vocabulary of run-time changes: which setting has which value in place of the file's, and who changed what."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen


class Target(StrEnum):
    """Whose setting it is."""

    EVERYBODY = "everybody"  # the block `limits` of the file
    TIER = "tier"
    TENANT = "tenant"


class Setting(Frozen, frozen=True, gc=False):
    """One setting that can be changed at run time. `path` leads to it inside its block: budgets.user_day."""

    target: Target
    name: str  # of the tier or tenant; empty: of everybody
    path: str

    @property
    def written(self) -> str:
        """For people: `tier free budgets.user_day`."""
        return " ".join(word for word in (self.target, self.name, self.path) if word)


class Change(Frozen, frozen=True, gc=False):
    """A value that stands in place of the file's. `at` is Unix seconds."""

    setting: Setting
    value: str  # JSON
    at: float
    by: str


class AuditEntry(Frozen, frozen=True, gc=False):
    """One command that was carried out. `at` is Unix seconds; `before` and `after` are JSON, empty: does not apply."""

    id: str
    at: float
    by: str
    command: str  # the name of its type: SetLimit, RevokeKey
    fields: str  # what it asked for, as JSON
    subject: str  # the id or name of what it made or changed
    before: str = ""
    after: str = ""
    request_id: str = ""  # of the admin request it came with
