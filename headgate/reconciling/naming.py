"""Which of the ledger's models a bill means: bills name versions (`gpt-4o-mini-2024-07-18`) where requests do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from headgate.config import names


def renamed(ledger: Collection[str], statement: Collection[str], configured: Collection[str]) -> dict[str, str]:
    """Names of both sides that have to be read as another: name -> name.

    Versions of a model that both sides tell stay apart. As soon as the ledger has a name that the statement does not
    have, and the statement has others of its family, nobody can say which is which: they become one.
    """
    families: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for side, found in enumerate((ledger, statement)):
        for name in found:
            families[family(name)][side].add(name)
    ours = defaultdict(set)
    for name in configured:
        ours[family(name)].add(name)
    renames: dict[str, str] = {}
    for shared, (here, there) in families.items():
        known = here or ours[shared]
        if not there or not known or (here <= there and here):
            continue
        if not here and there <= known:
            continue
        chosen = min(known & ours[shared] or known)
        renames |= {name: chosen for name in (here | there) if name != chosen}
    return renames


def family(name: str) -> str:
    """What is left of a name without path, vendor and date."""
    return list(names.candidates(name))[-1]
