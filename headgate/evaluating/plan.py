"""What an evaluation of routing is asked to do."""

from __future__ import annotations

from headgate.types import Frozen


class Plan(Frozen, frozen=True, gc=False):
    """Judge a model's file, or with `left_out` the recipe: by models trained on the rows that they do not judge."""

    model: str | None = None  # a file; None: the packaged model
    left_out: str | None = None  # "prompts" or "sources"
    never_trained_on: frozenset[str] = frozenset()  # sources that are judged, but not learned from
    embedded: bool = True
    curves: bool = False
