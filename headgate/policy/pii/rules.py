"""What the operator says of content, by class. Light: what finds content is loaded when it is looked for."""

from __future__ import annotations

from enum import StrEnum

from headgate.policy.pii.findings import EVERY_CLASS, PiiClass
from headgate.policy.pii.names import NO_NAMES, Names
from headgate.types import Frozen


class Scope(StrEnum):
    """Who may be served from what is kept."""

    TENANT = "tenant"  # everybody of the tenant
    USER = "user"  # the user it was made for
    NOTHING = "nothing"


class Rules(Frozen, frozen=True):
    """What to do with content, by class. What is in none of the sets is never kept."""

    store: frozenset[PiiClass] = frozenset()
    redact: frozenset[PiiClass] = frozenset()
    private: frozenset[PiiClass] = frozenset()
    never: frozenset[PiiClass] = frozenset()  # said to be so; what is in no set is never kept by caches either
    names: Names = NO_NAMES

    @property
    def looked_for(self) -> frozenset[PiiClass]:
        """The classes that make a difference: all but those that are stored as they are."""
        return EVERY_CLASS - (self.store - {PiiClass.SECRET})


NOTHING_ALLOWED = Rules()
