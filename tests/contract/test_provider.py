"""What every `ports.Provider` and its `ports.UpstreamResponse` must do, whatever stands behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from headgate.errors import StreamIncomplete, UpstreamError
from headgate.ports import UpstreamResponse
from headgate.types import Operation
from tests.contract.providers import FACTORIES, Subject

CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Say something."}]}).encode()
STREAM = json.dumps({**json.loads(CHAT), "stream": True}).encode()
Scenario = Callable[[Subject], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario with each provider."""

    async def with_subject(scenario: Scenario) -> None:
        async with asyncio.timeout(30), FACTORIES[request.param]() as subject:
            await scenario(subject)

    return lambda scenario: asyncio.run(with_subject(scenario))


async def send(subject: Subject, body: bytes) -> UpstreamResponse:
    operation = Operation(subject.api, "model", stream=body is STREAM)
    return await subject.provider.send(operation, body, endpoint=subject.endpoint, api_key=subject.api_key)


async def read_all(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


def test_it_has_a_name_and_a_kind(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        assert subject.provider.name
        assert subject.provider.kind

    run(scenario)


def test_a_json_answer_comes_whole(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        response = await send(subject, CHAT)
        assert response.status == 200
        assert response.headers["content-type"].startswith("application/json")
        assert all(name == name.lower() for name in response.headers)
        assert json.loads(await read_all(response))["object"] == "chat.completion"
        assert await response.read() == b""
        response.close()

    run(scenario)


def test_a_stream_comes_in_pieces_and_ends_cleanly(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        response = await send(subject, STREAM)
        assert response.headers["content-type"].startswith("text/event-stream")
        body = await read_all(response)
        response.close()
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")

    run(scenario)


def test_an_answer_can_be_closed_before_between_and_after_its_pieces_and_again(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        for pieces in range(3):
            response = await send(subject, STREAM)
            for number in range(pieces):
                assert await response.read() or number  # all of it may come at once
            response.close()
            response.close()
        response = await send(subject, STREAM)
        await read_all(response)
        response.close()
        response.close()

    run(scenario)


def test_closing_an_answer_twice_does_not_touch_the_next_one(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        first = await send(subject, CHAT)
        await read_all(first)
        first.close()
        second = await send(subject, STREAM)
        first.close()
        assert (await read_all(second)).endswith(b"data: [DONE]\n\n")
        second.close()

    run(scenario)


def test_what_was_closed_early_never_reaches_a_clean_end(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        response = await send(subject, STREAM)
        while b"[DONE]" in await response.read():  # all of it came at once: closing it now would not be early
            response.close()
            response = await send(subject, STREAM)
        response.close()
        body = b""
        with pytest.raises(StreamIncomplete):
            while piece := await response.read():
                body += piece
        assert b"[DONE]" not in body

    run(scenario)


def test_a_cancelled_read_loses_nothing(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        response = await send(subject, STREAM)
        body = b""
        while True:
            reading = asyncio.ensure_future(response.read())
            await asyncio.sleep(0)
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                piece = await response.read()
            else:
                piece = reading.result()
            if not piece:
                break
            body += piece
        response.close()
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")

    run(scenario)


def test_a_cancelled_send_leaves_the_provider_usable(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        for turns in range(20):
            sending = asyncio.ensure_future(send(subject, STREAM))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not sending.cancel():
                (await sending).close()
        response = await send(subject, CHAT)
        assert json.loads(await read_all(response))["object"] == "chat.completion"
        response.close()

    run(scenario)


def test_answers_side_by_side_do_not_mix(run: Run) -> None:
    async def ask(subject: Subject, body: bytes) -> bytes:
        response = await send(subject, body)
        answer = await read_all(response)
        response.close()
        return answer

    async def scenario(subject: Subject) -> None:
        answers = await asyncio.gather(*(ask(subject, (CHAT, STREAM)[n % 2]) for n in range(40)))
        for n, answer in enumerate(answers):
            assert answer.startswith((b"{", b"data: ")[n % 2])
            assert (b"[DONE]" in answer) == bool(n % 2)

    run(scenario)


def test_a_closed_provider_refuses_new_requests_and_finishes_what_is_under_way(run: Run) -> None:
    async def scenario(subject: Subject) -> None:
        response = await send(subject, STREAM)
        await subject.provider.aclose()
        with pytest.raises(UpstreamError):
            await send(subject, CHAT)
        assert (await read_all(response)).endswith(b"data: [DONE]\n\n")
        response.close()
        await subject.provider.aclose()

    run(scenario)
