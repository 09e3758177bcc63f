"""The simulated model's time, chance, faults and endings."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import msgspec
import pytest

from headgate.config.schema import SimConfig, SimFaults, Spread
from headgate.errors import StreamIncomplete, UpstreamUnreachable
from headgate.providers.sim import MAX_REMEMBERED_BODIES, SimProvider
from headgate.providers.sim_draws import DRAWN_FAULTS
from headgate.types import Api, Operation
from tests.providers.sim_requests import CHAT, STREAM, Received, answer, ask, send, simulate

PACED = {"ttft_seconds": 0.5, "itl_seconds": 0.1, "output_tokens": 4}
FOREVER_SECONDS = 86_400


def chat(number: int, **more: Any) -> dict[str, Any]:
    return {**STREAM, "messages": [{"role": "user", "content": f"Question {number}"}], **more}


# --- time ----------------------------------------------------------------------------------------------------------


def test_a_stream_keeps_its_times() -> None:
    received = answer({**STREAM, "sim": PACED})
    assert received.head_at == 0
    assert received.times == pytest.approx([0.5, 0.5, 0.6, 0.7, 0.8, 0.8])


def test_a_whole_answer_comes_when_all_of_it_is_generated() -> None:
    received = answer({**CHAT, "sim": PACED})
    assert received.head_at == pytest.approx(0.8)
    assert len(received.pieces) == 1


def test_a_slow_reader_holds_the_model_back_to_one_piece_ahead() -> None:
    async def scenario(provider: SimProvider) -> list[float]:
        loop, times = asyncio.get_running_loop(), list[float]()
        response = await send(provider, {**STREAM, "sim": PACED})
        for _ in range(3):
            await response.read()
        await asyncio.sleep(10)
        assert provider.tally.tokens_generated == 2
        while await response.read():
            times.append(loop.time() - 10.6)
        return times

    times, _ = simulate(scenario)
    assert times == pytest.approx([0.0, 0.1, 0.1])


def test_draws_follow_the_configured_distributions() -> None:
    config = SimConfig(
        ttft_seconds=Spread(median=0.2, p99=1.0),
        itl_seconds=Spread(median=0.01, p99=0.05),
        output_tokens=Spread(median=30, p99=90),
    )

    async def scenario(provider: SimProvider) -> list[Received]:
        return await asyncio.gather(*(ask(provider, chat(number)) for number in range(2000)))

    answers, _ = simulate(scenario, config)
    first = sorted(received.times[0] for received in answers)
    tokens = sorted(len(received.pieces) - 2 for received in answers)
    gaps = [b - a for received in answers for a, b in zip(received.times[1:-1], received.times[2:-1], strict=False)]
    assert statistics.median(first) == pytest.approx(0.2, rel=0.05)
    assert first[1980] == pytest.approx(1.0, rel=0.25)
    assert statistics.median(tokens) == pytest.approx(30, rel=0.05)
    assert tokens[1980] == pytest.approx(90, rel=0.2)
    assert statistics.median(gaps) == pytest.approx(0.01, rel=0.05)
    assert sorted(gaps)[int(0.99 * len(gaps))] == pytest.approx(0.05, rel=0.1)


def test_a_spread_of_nothing_is_a_constant() -> None:
    config = SimConfig(
        ttft_seconds=Spread(median=0, p99=0),
        itl_seconds=Spread(median=0.25, p99=0),
        output_tokens=Spread(median=3, p99=3),
    )
    assert answer(STREAM, config=config).times == pytest.approx([0, 0, 0.25, 0.5, 0.5])


# --- chance --------------------------------------------------------------------------------------------------------


def test_an_answer_does_not_depend_on_what_else_is_under_way() -> None:
    faulty = SimConfig(seed=5, faults=SimFaults(cut=0.2, server_error=0.2, malformed=0.2))

    async def one_by_one(provider: SimProvider) -> list[Received]:
        return [await ask(provider, chat(number)) for number in range(60)]

    async def together_backwards(provider: SimProvider) -> list[Received]:
        answers = await asyncio.gather(*(ask(provider, chat(number)) for number in reversed(range(60))))
        return answers[::-1]

    apart, _ = simulate(one_by_one, faulty)
    together, _ = simulate(together_backwards, faulty)
    for one, other in zip(apart, together, strict=True):
        assert (one.status, one.cut, one.times) == (other.status, other.cut, pytest.approx(other.times))
        assert without_created(one.body) == without_created(other.body)


def without_created(body: bytes) -> list[bytes]:
    return [part.partition(b",")[2] for part in body.split(b'"created":')]


def test_the_same_body_again_is_another_throw_and_another_seed_too() -> None:
    async def thrice(provider: SimProvider) -> list[bytes]:
        return [(await ask(provider, CHAT)).body for _ in range(3)]

    one, _ = simulate(thrice, SimConfig(seed=1))
    again, _ = simulate(thrice, SimConfig(seed=1))
    other, _ = simulate(thrice, SimConfig(seed=2))
    assert one == again
    assert len({*one, *other}) == 6


def test_what_is_remembered_of_bodies_is_bounded() -> None:
    async def scenario(provider: SimProvider) -> tuple[bytes, bytes]:
        first = await ask(provider, CHAT)
        for number in range(MAX_REMEMBERED_BODIES):
            (await send(provider, chat(number, sim={"fault": "empty"}))).close()
        return first.json["id"], (await ask(provider, CHAT)).json["id"]

    (first, again), _ = simulate(scenario)
    assert first == again


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("rate_limited", 429, "requests"), ("server_error", 500, "server_error"), ("overloaded", 529, "overloaded_error")],
)
def test_error_statuses(fault: str, status: int, kind: str, stream: bool) -> None:
    config = SimConfig(faults=SimFaults(retry_after_seconds=1.25))
    received = answer({**CHAT, "stream": stream, "sim": {"fault": fault}}, config=config)
    assert (received.status, received.json["error"]["type"]) == (status, kind)
    assert received.headers["content-type"] == "application/json"
    waits = (received.headers.get("retry-after"), received.headers.get("retry-after-ms"))
    assert waits == (("2", "1250") if fault == "rate_limited" else (None, None))


@pytest.mark.parametrize("after_events", [0, 2, 4])
def test_a_cut_stream_ends_inside_an_event(after_events: int) -> None:
    received = answer({**STREAM, "sim": {**PACED, "fault": "cut", "after_events": after_events}})
    assert received.cut
    assert len(received.pieces) == 1 + after_events + 1
    assert all(piece.endswith(b"\n\n") for piece in received.pieces[:-1])
    assert not received.pieces[-1].endswith(b"\n")


def test_a_cut_answer_is_half_a_body() -> None:
    received = answer({**CHAT, "sim": {"fault": "cut"}})
    assert received.cut
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(received.body)


@pytest.mark.parametrize("choices", [1, 2, 3])
@pytest.mark.parametrize("after_events", [0, 2, 4])
def test_a_malformed_stream_has_one_event_that_is_not_json_and_goes_on(after_events: int, choices: int) -> None:
    sim = {**PACED, "fault": "malformed", "after_events": after_events}
    received = answer({**STREAM, "n": choices, "sim": sim})
    assert not received.cut
    broken = [payload for payload in received.payloads if payload != b"[DONE]" and not is_json(payload)]
    assert len(broken) == 1
    assert received.payloads[(1 + after_events + 1) * choices - 1] == broken[0]


def test_a_malformed_answer_is_not_json() -> None:
    received = answer({**CHAT, "sim": {"fault": "malformed"}})
    assert not received.cut
    assert not is_json(received.body)


def is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer_is_a_200_with_nothing_in_it(stream: bool) -> None:
    received = answer({**CHAT, "stream": stream, "sim": {"fault": "empty"}})
    assert (received.status, received.body, received.cut) == (200, b"", False)


def test_an_unfinished_stream_ends_cleanly_without_a_reason() -> None:
    received = answer({**STREAM, "sim": {**PACED, "fault": "unfinished", "after_events": 2}})
    assert not received.cut
    assert len(received.payloads) == 3
    assert all(b'"finish_reason":null' in payload for payload in received.payloads)


def test_an_error_event_comes_inside_a_stream_that_ends_as_if_all_were_well() -> None:
    received = answer({**STREAM, "sim": {**PACED, "fault": "error_event", "after_events": 2}})
    assert len(received.payloads) == 5
    assert msgspec.json.decode(received.payloads[3])["error"]["type"] == "server_error"
    assert received.payloads[4] == b"[DONE]"


def test_an_error_in_a_200() -> None:
    received = answer({**CHAT, "sim": {"fault": "error_event"}})
    assert (received.status, received.json["error"]["type"]) == (200, "server_error")


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_before_sends_no_status(stream: bool) -> None:
    async def scenario(provider: SimProvider) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(FOREVER_SECONDS):
                await send(provider, {**CHAT, "stream": stream, "sim": {"fault": "hang_before"}})

    _, provider = simulate(scenario)
    assert (provider.tally.opened, provider.tally.aborted, provider.tally.open) == (1, 1, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_between_falls_silent(stream: bool) -> None:
    async def scenario(provider: SimProvider) -> int:
        body = {**CHAT, "stream": stream, "sim": {**PACED, "fault": "hang_between", "after_events": 2}}
        response, pieces = await send(provider, body), 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(FOREVER_SECONDS):
                while await response.read():
                    pieces += 1
        response.close()
        return pieces

    pieces, provider = simulate(scenario)
    assert pieces == (3 if stream else 0)
    assert provider.tally.tokens_generated == (2 if stream else 0)


def test_a_fault_by_model_name() -> None:
    assert answer({**CHAT, "model": "sim-small:overloaded"}).status == 529
    assert answer({**CHAT, "model": "sim-small:latest"}).status == 200


def test_a_fault_for_a_number_of_times() -> None:
    async def scenario(provider: SimProvider) -> list[int]:
        body = {**CHAT, "sim": {"fault": "server_error", "times": 2}}
        return [(await ask(provider, body)).status for _ in range(4)]

    assert simulate(scenario)[0] == [500, 500, 200, 200]


def test_shares_of_faults() -> None:
    config = SimConfig(faults=SimFaults(**{fault.value: 0.1 for fault in DRAWN_FAULTS}))

    async def scenario(provider: SimProvider) -> list[str]:
        return [await classify(provider, chat(number)) for number in range(2000)]

    seen, provider = simulate(scenario, config)
    expected = {
        "429": 200,
        "500": 200,
        "529": 200,
        "silent": 400,
        "cut": 200,
        "malformed": 200,
        "empty": 200,
        "good": 400,
    }
    assert {kind: seen.count(kind) for kind in expected} == {k: pytest.approx(n, abs=70) for k, n in expected.items()}
    assert provider.tally.open == 0


async def classify(provider: SimProvider, body: object) -> str:
    try:
        async with asyncio.timeout(FOREVER_SECONDS):
            received = await ask(provider, body)
    except TimeoutError:
        return "silent"
    if received.status != 200:
        return str(received.status)
    if received.cut or not received.body:
        return "cut" if received.cut else "empty"
    return "good" if all(payload == b"[DONE]" or is_json(payload) for payload in received.payloads) else "malformed"


# --- reading and closing -------------------------------------------------------------------------------------------


def test_a_cancelled_read_loses_nothing() -> None:
    async def impatient(provider: SimProvider) -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        response, data = await send(provider, {**STREAM, "sim": PACED}), b""
        while True:
            try:
                async with asyncio.timeout(0.03):
                    piece = await response.read()
            except TimeoutError:
                continue
            if not piece:
                return data, loop.time()
            data += piece

    patient, _ = simulate(lambda provider: ask(provider, {**STREAM, "sim": PACED}))
    (data, ended), provider = simulate(impatient)
    assert without_created(data) == without_created(patient.body)
    assert ended == pytest.approx(0.8)
    assert provider.tally.completed == 1


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_pieces_of_any_size_make_the_same_stream(size: int) -> None:
    received = answer({**STREAM, "sim": {**PACED, "piece_bytes": size}})
    assert len(received.chunks) == 6
    assert max(len(piece) for piece in received.pieces) <= size


def test_closing_early_stops_the_model() -> None:
    async def scenario(provider: SimProvider) -> None:
        response = await send(provider, {**STREAM, "sim": {**PACED, "output_tokens": 1000}})
        for _ in range(4):
            await response.read()
        response.close()
        response.close()
        with pytest.raises(StreamIncomplete):
            await response.read()

    _, provider = simulate(scenario)
    tally = provider.tally
    assert (tally.opened, tally.completed, tally.aborted, tally.tokens_generated) == (1, 0, 1, 3)


@pytest.mark.parametrize("fault", [None, "hang_between"])
def test_closing_wakes_a_read_that_waits(fault: str | None) -> None:
    async def scenario(provider: SimProvider) -> float:
        sim = {**PACED, "ttft_seconds": 100, "fault": fault, "after_events": 0}
        response = await send(provider, {**STREAM, "sim": sim})
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(1)
        response.close()
        with pytest.raises(StreamIncomplete):
            await reading
        return asyncio.get_running_loop().time()

    ended, provider = simulate(scenario)
    assert ended == 1.0
    assert provider.tally.open == 0


def test_cancelling_a_send_stops_the_model() -> None:
    async def scenario(provider: SimProvider) -> None:
        sending = asyncio.create_task(send(provider, {**CHAT, "sim": PACED}))
        await asyncio.sleep(0.1)
        assert provider.tally.open == 1
        sending.cancel()
        await asyncio.wait([sending])

    _, provider = simulate(scenario)
    assert (provider.tally.open, provider.tally.aborted) == (0, 1)


def test_a_clean_end_stays_the_end() -> None:
    async def scenario(provider: SimProvider) -> None:
        response = await send(provider, CHAT)
        assert await response.read()
        assert [await response.read(), await response.read()] == [b"", b""]
        response.close()
        assert await response.read() == b""

    _, provider = simulate(scenario)
    assert (provider.tally.completed, provider.tally.aborted) == (1, 0)


def test_a_closed_model_refuses_new_requests_and_finishes_the_others() -> None:
    async def scenario(provider: SimProvider) -> bytes:
        response = await send(provider, {**STREAM, "sim": PACED})
        await provider.aclose()
        with pytest.raises(UpstreamUnreachable):
            await provider.send(Operation(Api.CHAT, "sim-small", stream=False), b"{}", endpoint="", api_key="")
        data = b""
        while piece := await response.read():
            data += piece
        return data

    data, _ = simulate(scenario)
    assert data.endswith(b"data: [DONE]\n\n")
