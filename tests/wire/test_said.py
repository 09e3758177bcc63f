"""What an answer says, in every dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Route
from headgate.wire.said import mean_logprob, text_of

TOKENS = [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -3.0}]
CHAT = {"choices": [{"message": {"content": "Hi"}, "logprobs": {"content": TOKENS}}]}
PART = {"type": "output_text", "text": "Hi", "logprobs": TOKENS}
RESPONSE = {"output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": [PART]}]}
MESSAGE = {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]}


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (Route.CHAT, CHAT),
        (Route.CHAT, {"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}}]}),
        (Route.COMPLETIONS, {"choices": [{"text": "Hi"}]}),
        (Route.RESPONSES, RESPONSE),
        (Route.MESSAGES, MESSAGE),
    ],
)
def test_the_text(route: Route, said: dict[str, Any]) -> None:
    assert text_of(route, json.dumps(said).encode()) == "Hi"


@pytest.mark.parametrize(("route", "said"), [(Route.CHAT, CHAT), (Route.RESPONSES, RESPONSE)])
def test_how_sure_it_was(route: Route, said: dict[str, Any]) -> None:
    assert mean_logprob(route, json.dumps(said).encode()) == -2.0


def test_nobody_says_how_sure() -> None:
    assert mean_logprob(Route.MESSAGES, json.dumps(MESSAGE).encode()) is None


names = st.sampled_from(["choices", "message", "content", "output", "text", "type", "logprobs", "logprob"])
anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
    max_leaves=15,
)


@given(anything, st.sampled_from([Route.CHAT, Route.COMPLETIONS, Route.RESPONSES, Route.MESSAGES]))
def test_odd_shapes_say_nothing(said: object, route: Route) -> None:
    assert isinstance(text_of(route, json.dumps(said).encode()), str)
    mean_logprob(route, json.dumps(said).encode())
