"""Cache points that a caller did not set, in what a deployment is sent.

The body is marked when it is ready, so that it does not matter which dialect the caller speaks. Where the points stand
depends on nothing but what is before them, so that a conversation that grows begins as it began before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from headgate.cache_types import ProviderCacheRules
from headgate.types import Api, Call, Route
from headgate.wire.members import says_nothing
from headgate.wire.messages import points as messages_points
from headgate.wire.openai import WholeAnswer
from headgate.wire.translation import Ask, Asked, Dialogue, StreamReading

_AUTOMATIC = "cache_control"  # beside the messages, it lets the provider choose where


class PutPoints(Protocol):
    """Adds cache points to a body for an upstream model; the same body if it has some, or nothing to mark."""

    def __call__(self, body: bytes, model: str, rules: ProviderCacheRules) -> bytes: ...


def marking(dialogues: Mapping[Route, Dialogue], rules: ProviderCacheRules) -> dict[Route, Dialogue]:
    """The same dialogues, where their dialect has cache points with such."""
    return {route: _marking(dialogue, rules) for route, dialogue in dialogues.items()}


def _marking(dialogue: Dialogue, rules: ProviderCacheRules) -> Dialogue:
    match dialogue.api:
        case Api.MESSAGES:
            return Marking(dialogue, messages_points.put_points, rules)
        case Api.CONVERSE:
            from headgate.wire.converse import points as converse_points

            return Marking(dialogue, converse_points.put_points, rules)
        case _:
            return dialogue


class Marking:
    """A dialogue whose requests are sent with cache points."""

    def __init__(self, dialogue: Dialogue, put_points: PutPoints, rules: ProviderCacheRules) -> None:
        self.api = dialogue.api
        self.same_dialect = dialogue.same_dialect
        self.stream_type = dialogue.stream_type
        self._dialogue = dialogue
        self._put_points = put_points
        self._rules = rules

    def ask(self, call: Call, ask: Ask) -> Asked:
        asked = self._dialogue.ask(call, ask)
        if _AUTOMATIC in call.fields and not says_nothing(call.fields[_AUTOMATIC]):
            return asked
        return Asked(self._put_points(asked.body, ask.target.model, self._rules), asked.dropped)

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        return self._dialogue.read_whole(call, ask, body)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        return self._dialogue.read_stream(call, ask)
