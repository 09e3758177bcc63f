"""Embeddings are kept one input at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from headgate.cache_types import CachedAnswer, CacheRules, ExactRules
from headgate.errors import StreamMalformed
from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.rules import Rules
from headgate.ports import UpstreamResponse
from headgate.types import CacheControl, CacheMode, Caller, Operation, Outcome, Route
from tests.gateway.corridor import ALICE, EVERYTHING, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider, ScriptedResponse

BOB = Caller("key_2", "acme", "bob", EVERYTHING)


class Embedding(ScriptedProvider):
    """Answers each input with a vector of its own, the last one first; `lacks` says how many are left out."""

    lacks = 0

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        await super().send(operation, body, endpoint=endpoint, api_key=api_key, headers=headers)
        self.responses.pop()
        asked = self.asked[-1].body["input"]
        inputs = [asked] if isinstance(asked, str) else asked
        data = [{"object": "embedding", "index": place, "embedding": [vector(one)]} for place, one in enumerate(inputs)]
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        answer = {"object": "list", "data": data[::-1][self.lacks :], "model": "their-model", "usage": usage}
        self.responses.append(ScriptedResponse(Reply([json.dumps(answer).encode()], headers=JSON)))
        return self.responses[-1]


def vector(text: Any) -> float:
    return len(text) + 0.125


def embedding(provider: ScriptedProvider, rules: Rules = Rules(), **spec: Any) -> Corridor:  # noqa: B008  # immutable
    caches = {"small": CacheRules(ExactRules(), frozenset({"small"}))}
    return Corridor(model(deployment(provider), **spec), caches=caches, pii=rules)


async def ask(corridor: Corridor, value: Any, caller: Caller = ALICE, **members: Any) -> tuple[str, Visit]:
    call = corridor.call(Route.EMBEDDINGS, input=value, stream=False, **members)
    visit = await corridor.visit(call, caller=caller)
    assert visit.head is not None and visit.error is None
    return visit.head.cache, visit


def vectors(visit: Visit) -> list[float]:
    data = sorted(json.loads(visit.body)["data"], key=lambda item: item["index"])
    return [item["embedding"][0] for item in data]


def test_what_was_embedded_is_not_asked_for_again() -> None:
    async def scenario() -> None:
        provider = Embedding()
        corridor = embedding(provider)
        assert (await ask(corridor, ["a", "bb"]))[0] == "miss"
        cache, again = await ask(corridor, ["bb", "a", "bb"], BOB)
        assert cache == "exact" and vectors(again) == [vector("bb"), vector("a"), vector("bb")]
        body = json.loads(again.body)
        assert (body["model"], body["usage"]) == ("their-model", {"prompt_tokens": 0, "total_tokens": 0})
        assert (await ask(corridor, "a"))[0] == "exact", "alone or in a list"

        cache, some = await ask(corridor, ["a", "cccc", "bb", "ddddd"])
        assert cache == "miss" and vectors(some) == [vector(text) for text in ("a", "cccc", "bb", "ddddd")]
        assert [asked.body["input"] for asked in provider.asked] == [["a", "bb"], ["cccc", "ddddd"]]
        assert json.loads(some.body)["usage"]["prompt_tokens"] == 2
        assert (await ask(corridor, ["ddddd", "cccc"]))[0] == "exact"
        assert corridor.at_rest()

    run(scenario)


@pytest.mark.parametrize("other", [{"dimensions": 5}, {"encoding_format": "base64"}])
def test_other_vectors_are_others(other: dict[str, Any]) -> None:
    async def scenario() -> None:
        corridor = embedding(Embedding())
        await ask(corridor, ["a"])
        assert (await ask(corridor, ["a"], **other))[0] == "miss"

    run(scenario)


def test_what_is_asked_for_afresh_is_kept_one_input_at_a_time_too() -> None:
    async def scenario() -> None:
        provider = Embedding()
        corridor = embedding(provider)
        call = corridor.call(Route.EMBEDDINGS, input=["one", "three"], stream=False)
        for _ in range(2):
            again = msgspec.structs.replace(
                call, id=corridor.clock.new_id("req"), cache=CacheControl(CacheMode.REFRESH)
            )
            visit = await corridor.visit(again)
            assert visit.head is not None and visit.head.cache == "miss"
            await asyncio.sleep(1)
        how, visit = await ask(corridor, ["three"])
        assert (how, vectors(visit), len(provider.asked)) == ("exact", [vector("three")], 2)
        assert corridor.answers.size().entries == 2

    run(scenario)


def test_a_vector_in_the_wrong_place_is_not_given() -> None:
    async def scenario() -> None:
        corridor = embedding(Embedding())
        await ask(corridor, ["one", "three"])
        await asyncio.sleep(1)
        get_all = corridor.answers.get_all

        async def backwards(keys: Sequence[bytes]) -> list[CachedAnswer | None]:
            return (await get_all(keys))[::-1]

        corridor.answers.get_all = backwards  # type: ignore[method-assign]  # a store that mixes things up
        how, visit = await ask(corridor, ["one", "three"])
        assert (how, vectors(visit)) == ("miss", [vector("one"), vector("three")])

    run(scenario)


def test_tokens_and_texts_are_told_apart() -> None:
    async def scenario() -> None:
        corridor = embedding(Embedding())
        await ask(corridor, [[1, 2], [3]])
        assert (await ask(corridor, [[3], [1, 2]]))[0] == "exact"
        assert (await ask(corridor, ["[3]"]))[0] == "miss"

    run(scenario)


def test_a_model_with_fallbacks_is_asked_for_all() -> None:
    """Vectors of two models do not belong into one answer."""

    async def scenario() -> None:
        provider = Embedding()
        corridor = embedding(provider, fallback=("large",))
        await ask(corridor, ["a"])
        _, visit = await ask(corridor, ["a", "bb"])
        assert provider.asked[-1].body["input"] == ["a", "bb"] and vectors(visit) == [vector("a"), vector("bb")]

    run(scenario)


def test_personal_data_is_looked_for_in_each() -> None:
    async def scenario() -> None:
        provider = Embedding()
        corridor = embedding(provider, Rules(private=frozenset({PiiClass.EMAIL})))
        await ask(corridor, ["a", "ann@example.org", "+49 170 1234567"])
        assert (await ask(corridor, ["a", "ann@example.org"]))[0] == "exact"
        await ask(corridor, ["a", "ann@example.org", "+49 170 1234567"], BOB)
        assert provider.asked[-1].body["input"] == ["ann@example.org", "+49 170 1234567"]

    run(scenario)


def test_the_same_at_once_is_asked_once() -> None:
    async def scenario() -> None:
        provider = Embedding(Reply(seconds_before=1.0))
        corridor = embedding(provider)
        told = await asyncio.gather(*[ask(corridor, ["a", "bb"]) for _ in range(5)])
        assert [cache for cache, _ in told] == ["miss"] + ["coalesced"] * 4
        assert len(provider.asked) == 1 and all(vectors(visit) == vectors(told[0][1]) for _, visit in told)

    run(scenario)


def test_a_key_gives_all_vectors_again_though_a_part_was_found() -> None:
    async def scenario() -> None:
        corridor = embedding(Embedding())
        await ask(corridor, ["a", "bb"])
        texts = ["a", "cccc", "bb"]
        calls = [corridor.call(Route.EMBEDDINGS, input=texts, stream=False) for _ in range(2)]
        visits = [await corridor.visit(msgspec.structs.replace(call, idempotency_key="k1")) for call in calls]
        assert [vectors(visit) for visit in visits] == [[vector(text) for text in texts]] * 2

    run(scenario)


def test_an_answer_that_lacks_vectors_is_booked_as_a_failure() -> None:
    async def scenario() -> None:
        provider = Embedding()
        corridor = embedding(provider, retries=0)
        await ask(corridor, ["a", "bb"])
        provider.lacks = 1
        call = corridor.call(Route.EMBEDDINGS, input=["a", "cccc", "dd"], stream=False)
        visit = await corridor.visit(call)
        assert isinstance(visit.error, StreamMalformed) and visit.head is None
        assert corridor.journal.appended[-1].outcome is Outcome.FAILED
        assert corridor.at_rest()
        provider.lacks = 0
        assert (await ask(corridor, ["a", "cccc", "dd"]))[0] == "miss"

    run(scenario)
