"""The npm packages openai and @anthropic-ai/sdk, unchanged, with models of three vendors behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import javascript
from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.upstream import Upstream
from tests.e2e.vendors.mind import WEATHER_ARGUMENTS
from tests.e2e.vendors.playing import refusing, speaking

Run = Callable[[str], Any]


@pytest.fixture(params=["by-openai", "by-anthropic", "by-gemini"])
def run(request: pytest.FixtureRequest, node_packages: Path, gateway: Gateway) -> Run:
    """Do a task of `vendors.mjs` and return what it found."""

    def run(task: str) -> Any:
        return javascript.run(node_packages / "vendors.mjs", task, gateway.url, ALICE, str(request.param))

    return run


def test_chat(run: Run, upstream: Upstream) -> None:
    upstream.plays(speaking())
    assert run("chat") == {"text": "You said: Hello", "tokens": 30}
    assert run("chatTools") == {"arguments": WEATHER_ARGUMENTS, "text": "The tool says: 21 C"}


def test_responses(run: Run, upstream: Upstream) -> None:
    upstream.plays(speaking())
    assert run("responses") == {"text": "You said: Hello", "whole": "You said: Hello", "tokens": 30}
    assert run("responsesTools") == {"arguments": WEATHER_ARGUMENTS, "text": "The tool says: 21 C"}


def test_messages(run: Run, upstream: Upstream) -> None:
    upstream.plays(speaking())
    text = "You said: Hello"
    assert run("messages") == {"text": text, "whole": text, "stop": "end_turn", "tokens": 10}
    assert run("messagesTools") == {"arguments": WEATHER_ARGUMENTS, "text": "The tool says: 21 C"}
    assert run("count") > 0


def test_errors(run: Run, upstream: Upstream) -> None:
    upstream.plays(refusing("No, because.", 429))
    for error in run("errors"):
        assert (error["kind"], error["status"]) == ("RateLimitError", 429)
        assert "No, because." in error["message"]
