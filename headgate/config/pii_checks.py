"""Checks of the block `pii`: one rule for each class, secrets are never kept, names that can be found.

Pure: reads the typed configuration, adds to the findings.
"""

from __future__ import annotations

import re

from headgate.config.problems import Findings, Place, written
from headgate.config.schema import Config, PiiClass

_NAME = re.compile(r"[^\W_]\w*\*?(?:[\W_]+\w+\*?)*\.?")
_STAR_INSIDE = re.compile(r"\*\w")


def check_pii(config: Config, findings: Findings) -> None:
    """Add an error for every rule that contradicts another or cannot be, and a warning for one without effect."""
    pii = config.pii
    rules: dict[str, list[PiiClass]] = {
        "store": pii.store, "redact": pii.redact, "private": pii.private, "never": pii.never,
    }  # fmt: skip
    seen: dict[PiiClass, Place] = {}
    for rule, classes in rules.items():
        for index, pii_class in enumerate(classes):
            place: Place = ("pii", rule, index)
            if findings.is_broken(place):
                continue
            if pii_class == "secret" and rule != "never":
                findings.error(place, "secrets are never kept", "remove it: nothing can allow that")
            elif pii_class in seen:
                findings.error(place, f"here already: {written(seen[pii_class])}", "one rule for each class")
            elif pii_class == "name" and not pii.names and rule != "never":
                findings.warning(place, "there are no names to be found", "add names: [...] to pii")
            seen.setdefault(pii_class, place)
    for index, name in enumerate(pii.names):
        if not _NAME.fullmatch(name.strip()) or _STAR_INSIDE.search(name):
            message = "no name: words, each of which may end in *"
            findings.error(("pii", "names", index), message, "write e.g. Ada Lovelace, or Project Fal*")
