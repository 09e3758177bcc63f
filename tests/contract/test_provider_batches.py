"""What every `BatchApi` must do, against servers that behave as its provider's is specified to: OpenAIBatchApi (OpenAI
and Azure), AnthropicBatchApi, GeminiBatchApi."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headgate.config.schema import ProviderConfig
from headgate.errors import UpstreamError, UpstreamRejected
from headgate.provider_batch_ports import BatchApi
from headgate.provider_batch_types import AtProvider, BatchLine, Handover, LineEnd, LineResult
from headgate.providers.batches.opening import open_api
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.types import Api
from tests.providers.batch_vendor import CREATED_AT, VENDORS, Vendor, serving

KINDS = ("openai", "azure", "azure dated", "anthropic", "gemini")
PROMPTS = ("one", "fail 400", "two \u2028 lines", "fail 500", "expire")


def line(kind: str, number: int, prompt: str) -> BatchLine:
    text = prompt.replace("\u2028", "\\u2028")
    messages = f'{{"model": "theirs", "max_tokens": 9, "messages": [{{"role": "user", "content": "{text}"}}]}}'
    contents = f'{{"contents": [{{"role": "user", "parts": [{{"text": "{text}"}}]}}]}}'
    return BatchLine(f"req_{number}", (contents if kind == "gemini" else messages).encode())


def handover(kind: str, name: str = "batch_ours", prompts: tuple[str, ...] = PROMPTS) -> Handover:
    lines = tuple(line(kind, number, prompt) for number, prompt in enumerate(prompts, start=1))
    api = {"gemini": Api.GENERATE_CONTENT, "anthropic": Api.MESSAGES}.get(kind, Api.CHAT)
    return Handover(name, api, "theirs", lines)


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[tuple[BatchApi, Vendor]]:
    name, _, dated = kind.partition(" ")
    vendor = VENDORS[name]()
    async with serving(vendor) as address:
        endpoint = f"{address}/v1" if name == "openai" else address
        provider = ProviderConfig(kind=name, api_version="2024-10-21" if dated else "")  # type: ignore[arg-type]
        yield open_api(endpoint, provider, "secret", Connector(ConnectSettings())), vendor


async def results_of(api: BatchApi, provider_id: str) -> dict[str, LineResult]:
    standing = await api.standing(provider_id)
    assert standing.state is AtProvider.ENDED
    return {result.id: result async for result in api.results(standing)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_from_its_submission_to_its_results(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            provider_id = await api.submit(handover(kind))
            assert (await api.standing(provider_id)).state is AtProvider.RUNNING
            vendor.end()
            results = await results_of(api, provider_id)
            assert results["req_1"].end is results["req_3"].end is LineEnd.ANSWERED
            assert b"about one" in results["req_1"].body
            assert (results["req_2"].end, results["req_2"].status) == (LineEnd.ERROR, 400)
            assert (results["req_4"].end, results["req_4"].status) == (LineEnd.ERROR, 500)
            assert b"no: fail 400" in results["req_2"].body
            assert "req_5" not in results or results["req_5"].end is LineEnd.EXPIRED
            assert all("secret" in " ".join(call.headers.values()) for call in vendor.calls)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["expired", "cancelled"])
def test_what_a_batch_that_did_not_end_well_has_done_is_there(kind: str, state: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            provider_id = await api.submit(handover(kind, prompts=("a", "b", "c", "d")))
            vendor.end(state)
            results = await results_of(api, provider_id)
            assert {name for name, result in results.items() if result.end is LineEnd.ANSWERED} == {"req_1", "req_3"}
            assert all(results[name].end.value == state for name in ("req_2", "req_4") if name in results)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_whose_handing_over_was_cut_short_is_found(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            ours = handover(kind)
            assert await api.find(ours.id, len(ours.lines), CREATED_AT) == []
            for number in range(3):
                await api.submit(handover(kind, f"batch_other_{number}", ("other",)))
            vendor.breaks = 1
            with pytest.raises(UpstreamError):
                await api.submit(ours)
            (found,) = await api.find(ours.id, len(ours.lines), CREATED_AT)
            assert found.provider_id.endswith(vendor.batches[-1].id)
            assert found.is_certain is (kind != "anthropic"), "that one has no place for our id"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_can_be_cancelled_twice(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            provider_id = await api.submit(handover(kind))
            await api.cancel(provider_id)
            await api.cancel(provider_id)
            assert vendor.batches[0].state == "cancelling"
            assert (await api.standing(provider_id)).state is AtProvider.RUNNING

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_says_why(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            vendor.refuses = (400, "the model has no batches")
            with pytest.raises(UpstreamRejected, match="the model has no batches"):
                await api.submit(handover(kind))

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["openai", "azure", "gemini"])
def test_a_batch_that_failed_as_a_whole_says_why(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            provider_id = await api.submit(handover(kind))
            vendor.end("failed")
            standing = await api.standing(provider_id)
            assert (standing.state, standing.error) == (AtProvider.FAILED, "line 3 is wrong")

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_provider_has_of_a_batch_is_deleted_there(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            other, provider_id = await api.submit(handover(kind, "batch_other")), await api.submit(handover(kind))
            vendor.end()
            for _ in range(2):  # what is gone is no error
                await api.clear("batch_ours", provider_id, CREATED_AT)
            of_ours = {
                "gemini": ["batches/batch_2"],
                "anthropic": ["batch_2"],
            }.get(kind, ["file-2", "batch_2-output", "batch_2-error"])
            assert vendor.deleted == of_ours and (await results_of(api, other))
            vendor.keeps = True
            with pytest.raises(UpstreamRejected):
                await api.clear("batch_other", other, CREATED_AT)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_of_which_no_batch_was_made_is_deleted_by_its_name(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as (api, vendor):
            await api.submit(handover(kind, "batch_other"))
            vendor.refuses = (400, "no")
            with pytest.raises(UpstreamRejected):
                await api.submit(handover(kind))
            await api.clear("batch_ours", "", CREATED_AT)
            assert vendor.deleted == (["file-2"] if kind.startswith(("openai", "azure")) else [])

    asyncio.run(scenario())
