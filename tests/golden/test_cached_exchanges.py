"""Recorded answers of real providers, asked for twice: what is whole is given again as it was, nothing else is kept."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules, Sampled
from headgate.errors import HeadgateError
from headgate.policy.pii.findings import EVERY_CLASS
from headgate.policy.pii.rules import Rules
from headgate.types import Call, Route
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker
from tests.conformance.recordings import SAMPLE, Recording, from_golden, load
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.scripted import EVENT_STREAM, JSON, Reply, ScriptedProvider
from tests.golden import exchanges

ROUTES = {
    "chat": Route.CHAT, "completions": Route.COMPLETIONS, "embeddings": Route.EMBEDDINGS,
    "responses": Route.RESPONSES, "messages": Route.MESSAGES,
}  # fmt: skip
RULES = CacheRules(ExactRules(sampled=Sampled.ALWAYS), frozenset({"small"}))
COMMENT = re.compile(rb": x-headgate-cost-usd=[0-9.]+\n\n")
UNWHOLE = re.compile(
    rb'"(finish_reason|stop_reason)":\s*"(length|max_tokens|tool_calls|tool_use|function_call|content_filter|refusal)"'
)
EVERYTHING = [*load(SAMPLE), *map(from_golden, exchanges.load())]
RECORDINGS = [each for each in EVERYTHING if each.dialect in ROUTES and not each.is_error]


def asked(recording: Recording, corridor: Corridor) -> Call | None:
    """The recorded request, of our model. None: headgate does not take it."""
    route = ROUTES[recording.dialect]
    body = {**(recording.request or {}), "model": "small"}
    if recording.stream is not None:
        body["stream"] = True
    try:
        call = speaker(route).parse_call(route, json.dumps(body).encode(), corridor.clock.new_id("req"), CallHeaders())
    except HeadgateError:
        return None
    return msgspec.structs.replace(call, stream=recording.stream is not None)


def replaying(recording: Recording) -> tuple[Corridor, ScriptedProvider]:
    """A model whose provider answers as recorded, and a cache."""
    headers = JSON if recording.stream is None else EVENT_STREAM
    kind = "anthropic" if recording.dialect == "messages" else "openai"
    provider = ScriptedProvider(Reply([recording.body], headers=headers), kind=kind)
    plan = deployment(provider, api="responses" if recording.dialect == "responses" else "auto")
    return Corridor(model(plan, retries=0), caches={"small": RULES}, pii=Rules(store=EVERY_CLASS)), provider


@pytest.mark.parametrize("recording", RECORDINGS, ids=[each.name for each in RECORDINGS])
def test_what_is_given_again_is_what_was_recorded(recording: Recording) -> None:
    async def scenario() -> None:
        corridor, provider = replaying(recording)
        calls = [asked(recording, corridor) for _ in range(2)]
        if calls[0] is None:
            return
        first = await corridor.visit(calls[0])
        await asyncio.sleep(1)
        second = await corridor.visit(calls[1])
        if len(provider.asked) == 2:
            return
        assert second.head is not None and second.head.cache == "exact"
        assert first.error is None and not UNWHOLE.search(first.body) and b'"error":{' not in first.body
        if recording.dialect == "embeddings":
            data = [json.loads(visit.body)["data"] for visit in (first, second)]
            assert [item["embedding"] for item in data[0]] == [item["embedding"] for item in data[1]]
        else:
            assert COMMENT.sub(b"", second.body) == COMMENT.sub(b"", first.body)

    run(scenario)


def test_most_of_what_is_whole_is_kept() -> None:
    """All recorded completions are cut."""
    kept: Counter[tuple[str, bool]] = Counter()

    async def scenario() -> None:
        for recording in RECORDINGS:
            corridor, _ = replaying(recording)
            if (call := asked(recording, corridor)) is not None:
                await corridor.visit(call)
                await corridor.pipeline.cache.finish()
                kept[recording.dialect, recording.stream is not None] += corridor.looked_up.kept

    run(scenario)
    least = {("chat", False): 39, ("chat", True): 20, ("responses", False): 14, ("responses", True): 11}
    least |= {("messages", False): 8, ("messages", True): 8, ("embeddings", False): 16}
    assert all(kept[kind] >= count for kind, count in least.items()), kept
