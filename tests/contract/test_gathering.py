"""Dynamic batching: GatheringProvider and WholeResponse, around a provider on a local server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.config.batch_schema import GatherConfig
from headgate.errors import UpstreamUnreachable
from headgate.policy.sharing import apportioned
from headgate.ports import UpstreamResponse
from headgate.providers.gathering import GatheringProvider, gathering
from headgate.providers.openai import OpenAIProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation
from tests.providers.batch_vendor import Call, Vendor, serving

RULES = GatherConfig(max_wait_ms=20.0)
EMBED = Operation(Api.EMBEDDINGS, "theirs", stream=False)


class EmbeddingVendor(Vendor):
    """Answers each input with its length, and refuses requests that have a toxic one."""

    status = 200

    def handle(self, call: Call) -> tuple[int, Any]:
        asked = json.loads(call.body)
        inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        if self.status != 200:
            return self.status, {"error": {"message": "come back later"}}
        if any(each == "toxic" for each in inputs):
            return 400, {"error": {"message": "the input is toxic"}}
        data = [{"object": "embedding", "index": at, "embedding": [len(each)]} for at, each in enumerate(inputs)]
        used = sum(10 * len(each) for each in inputs)
        usage = {"prompt_tokens": used, "total_tokens": used}
        return 200, {"object": "list", "model": "theirs", "data": data[::-1], "usage": usage}


class Desk:
    def __init__(self, provider: GatheringProvider, vendor: EmbeddingVendor, address: str) -> None:
        self.provider = provider
        self.vendor = vendor
        self.address = address

    async def ask(self, value: object, **more: object) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"model": "theirs", "input": value, **more}).encode()
        response: UpstreamResponse = await self.provider.send(EMBED, body, endpoint=self.address, api_key="key")
        answer = await response.read()
        assert await response.read() == b""
        response.close()
        return response.status, json.loads(answer)

    async def ask_all(self, values: Sequence[object]) -> list[tuple[int, dict[str, Any]]]:
        return await asyncio.gather(*[self.ask(value) for value in values])

    @property
    def sent(self) -> list[Any]:
        return [json.loads(call.body)["input"] for call in self.vendor.calls]


@asynccontextmanager
async def opened(rules: GatherConfig = RULES) -> AsyncIterator[Desk]:
    vendor = EmbeddingVendor()
    async with serving(vendor) as address:
        inner = OpenAIProvider("up", Connector(ConnectSettings()), PoolSettings(), {})
        provider = GatheringProvider(inner, rules)
        try:
            yield Desk(provider, vendor, address)
        finally:
            await provider.aclose()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_requests_that_come_together_go_together_and_get_answers_of_their_own() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            answers = await desk.ask_all(["a", ["bb", "ccc"], "dddd"])
            assert desk.sent == [["a", "bb", "ccc", "dddd"]]
            vectors = [[item["embedding"] for item in answer["data"]] for _, answer in answers]
            assert vectors == [[[1]], [[2], [3]], [[4]]]
            assert [[item["index"] for item in answer["data"]] for _, answer in answers] == [[0], [0, 1], [0]]
            assert all(status == 200 and answer["model"] == "theirs" for status, answer in answers)
            used = [answer["usage"]["prompt_tokens"] for _, answer in answers]
            assert sum(used) == 100 and min(used) > 0 and used[1] > used[0]

    run(scenario)


def test_a_toxic_input_fails_its_own_request_alone() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            answers = await desk.ask_all(["a", "b", "toxic", "d", "e"])
            assert [status for status, _ in answers] == [200, 200, 400, 200, 200]
            assert answers[2][1]["error"]["message"] == "the input is toxic"
            assert len(desk.sent) <= 1 + 2 * 3, "it is found by halves"

    run(scenario)


@pytest.mark.parametrize("status", [401, 429, 500])
def test_what_is_nobodys_fault_is_told_to_all_and_asked_once(status: int) -> None:
    async def scenario() -> None:
        async with opened() as desk:
            desk.vendor.status = status
            assert [found for found, _ in await desk.ask_all(["a", "b", "c"])] == [status] * 3
            assert len(desk.sent) == 1

    run(scenario)


def test_requests_that_differ_in_more_than_their_input_go_apart() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            await asyncio.gather(desk.ask("a"), desk.ask("b", user="bob"), desk.ask("c", dimensions=2), desk.ask("d"))
            assert sorted(desk.sent) == [["a", "d"], ["b"], ["c"]]

    run(scenario)


def test_a_full_batch_does_not_wait() -> None:
    async def scenario() -> None:
        async with opened(GatherConfig(max_wait_ms=60_000.0, max_batch_tokens=4)) as desk:
            answers = await asyncio.wait_for(desk.ask_all([[1, 2], [3, 4], [5, 6, 7, 8]]), 50.0)
            assert [status for status, _ in answers] == [200] * 3
            assert desk.sent == [[[1, 2], [3, 4]], [[5, 6, 7, 8]]]

    run(scenario)


def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            stays, leaves = asyncio.create_task(desk.ask("a")), asyncio.create_task(desk.ask("b"))
            await asyncio.sleep(0)
            leaves.cancel()
            assert (await stays)[0] == 200
            assert desk.sent == [["a"]]
            alone = asyncio.create_task(desk.ask("c"))
            await asyncio.sleep(0)
            alone.cancel()
            await asyncio.gather(alone, leaves, return_exceptions=True)
            await asyncio.sleep(0.05)
            assert desk.sent == [["a"]], "nobody waits for it"

    run(scenario)


def test_a_provider_that_is_gone_is_gone_for_all() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            desk.address = "http://127.0.0.1:1"
            ends = await asyncio.gather(desk.ask("a"), desk.ask("b"), return_exceptions=True)
            assert all(isinstance(end, UpstreamUnreachable) for end in ends)

    run(scenario)


def test_other_requests_go_as_they_are() -> None:
    async def scenario() -> None:
        async with opened() as desk:
            odd = {"model": "theirs", "input": "a"}
            headers = (("x-own", "1"),)
            body = json.dumps(odd).encode()
            response = await desk.provider.send(EMBED, body, endpoint=desk.address, api_key="key", headers=headers)
            await response.read()
            response.close()
            assert desk.vendor.calls[0].body == body

    run(scenario)


def test_without_the_setting_nothing_stands_between() -> None:
    inner = OpenAIProvider("up", Connector(ConnectSettings()), PoolSettings(), {})
    assert gathering(inner, None) is inner


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**4), min_size=1, max_size=50))
def test_parts_add_up_and_are_in_proportion(total: int, weights: list[int]) -> None:
    parts = apportioned(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / sum(weights)) < 1 for part, weight in zip(parts, weights, strict=True))
