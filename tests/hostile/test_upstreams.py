"""Upstreams that break HTTP, or answer what was not asked for, behind a real gateway: every dialect's client is told
so in its own way, its SDK raises, and the ledger has the truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.conformance.asking import PATHS
from tests.conformance.judging import READERS
from tests.conformance.meaning import differences
from tests.conformance.replay import ASKED_IN
from tests.e2e.gateway import ALICE, Gateway, Json
from tests.e2e.upstream import Exchange, Upstream
from tests.hostile.answers import ANSWERS
from tests.hostile.hearing import BODIES, ROUTES, meant
from tests.hostile.voices import CONTENT, ERROR, TOKENS_IN, TOKENS_OUT, VOICES, Voice, dump

PRICE = (1, 2)  # USD for a million tokens, as `replay.served` has it
HTML = b"<html><body><h1>It works!</h1></body></html>"
Play = Callable[[Exchange, bytes, str], Awaitable[None]]


def head(kind: str, *lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"content-type: {kind}", *lines]).encode() + b"\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def leave(exchange: Exchange, *data: bytes) -> None:
    """Send this and close the connection."""
    await exchange.send(b"".join(data))
    exchange.client_left.set()


# --- ways to go wrong: of a whole answer or a stream in `body`, whose media type is `kind` ---


async def a_length_too_long(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, f"content-length: {len(body) + 9}"), body)


async def a_length_too_short(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, f"content-length: {len(body) * 2 // 3}"), body)


async def compressed(exchange: Exchange, body: bytes, kind: str) -> None:
    data = gzip.compress(body)
    await exchange.send(head(kind, "content-encoding: gzip", f"content-length: {len(data)}") + data)


async def compressed_in_secret(exchange: Exchange, body: bytes, kind: str) -> None:
    data = gzip.compress(body)
    await exchange.send(head(kind, f"content-length: {len(data)}") + data)


async def a_broken_chunk(exchange: Exchange, body: bytes, kind: str) -> None:
    half = len(body) // 2
    await leave(exchange, head(kind, "transfer-encoding: chunked"), chunked(body[:half]), b"xyz\r\nnonsense\r\n")


async def chunks_without_an_end(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, "transfer-encoding: chunked"), chunked(body))


async def both_lengths(exchange: Exchange, body: bytes, kind: str) -> None:
    lines = ("transfer-encoding: chunked", f"content-length: {len(body)}")
    await leave(exchange, head(kind, *lines), body[: len(body) // 2])


async def a_redirect(exchange: Exchange, body: bytes, kind: str) -> None:
    target = f"location: http://127.0.0.1/{'x' * 40}"
    await exchange.send(head(kind, target, f"content-length: {len(body)}", status="307 Temporary Redirect") + body)


async def no_http(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, body)


async def a_head_alone(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, "transfer-encoding: chunked"))


async def a_head_without_end(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, "x-flood: " + "y" * 200_000))


async def no_content(exchange: Exchange, body: bytes, kind: str) -> None:
    await exchange.send(head(kind, status="204 No Content"))


async def a_page(exchange: Exchange, body: bytes, kind: str) -> None:
    await exchange.answer(200, HTML, content_type="text/html")


async def a_page_by_another_name(exchange: Exchange, body: bytes, kind: str) -> None:
    await exchange.answer(200, HTML, content_type=kind)


async def an_upgrade(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(
        exchange, head(kind, "connection: upgrade", "upgrade: websocket", status="101 Switching Protocols"), body
    )


async def nothing(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange)


BROKEN: list[Play] = [
    a_length_too_long, a_length_too_short, compressed, compressed_in_secret, a_broken_chunk, chunks_without_an_end,
    both_lengths, a_redirect, no_http, a_head_alone, a_head_without_end, no_content, a_page, a_page_by_another_name,
    an_upgrade, nothing,
]  # fmt: skip


async def after_early_hints(exchange: Exchange, body: bytes, kind: str) -> None:
    await exchange.send(
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + head(kind, f"content-length: {len(body)}") + body
    )


async def with_trailers(exchange: Exchange, body: bytes, kind: str) -> None:
    pieces = b"".join(chunked(body[place : place + 11]) for place in range(0, len(body), 11))
    await exchange.send(head(kind, "transfer-encoding: chunked") + pieces + b"0\r\nx-trailer: 1\r\n\r\n")


async def to_the_end_of_the_connection(exchange: Exchange, body: bytes, kind: str) -> None:
    await leave(exchange, head(kind, "connection: close"), body)


ODD_BUT_GOOD: list[Play] = [after_early_hints, with_trailers, to_the_end_of_the_connection]


class Stage:
    """A gateway, and the clients that ask it for models of every kind of provider."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def ask(self, client: str, voice: Voice, play: Play, *, stream: bool) -> tuple[int, bytes, str]:
        """What a client gets when the upstream plays this: status, body, and the request's id."""
        body = voice.stream(voice.tell()) if stream else dump(ANSWERS[voice.dialect])
        kind = "application/json" if not stream else "text/event-stream"
        kind = kind if voice.is_text or not stream else "application/vnd.amazon.eventstream"

        async def script(exchange: Exchange) -> None:
            await play(exchange, body, kind)

        self.upstream.plays(script)
        asked = {"model": ASKED_IN[voice.dialect], **BODIES[client], "stream": stream}
        if not stream:
            asked.pop("stream_options", None)
        status, headers, got = self.gateway.request("POST", f"/v1/{PATHS[client]}", asked)
        return status, got, headers["x-request-id"]

    def rows(self, request_ids: list[str]) -> list[Json]:
        return self.gateway.rows(request_ids)


@pytest.fixture
def stage(gateway: Gateway, upstream: Upstream) -> Iterator[Stage]:
    yield Stage(gateway, upstream)
    assert not gateway.complaints()


def is_told(client: str, status: int, body: bytes) -> None:
    """An error in the client's dialect: a body, or the last event of a stream."""
    if status != 200:
        value = json.loads(body)
        error = value["error"]
        assert error["type"] and error["message"]
        assert (value.get("type") == "error") == (client == "messages")
    else:
        assert READERS[client].read_stream(body.decode()).failure


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_every_failure_is_told_and_booked(stage: Stage, voice: Voice, stream: bool) -> None:
    ids = []
    for number, play in enumerate(BROKEN):
        client = list(ROUTES)[(number + stream) % len(ROUTES)]
        status, body, request_id = stage.ask(client, voice, play, stream=stream)
        assert status in (200, 502) and (stream or status == 502), play.__name__
        is_told(client, status, body)
        ids.append(request_id)
    for row, play in zip(stage.rows(ids), BROKEN, strict=True):
        assert row["outcome"] == "failed", play.__name__
        assert row["error"].startswith(("stream_", "upstream_empty")), play.__name__
        assert bool(float(row["cost_usd"])) == (row["output_tokens"] > 0), play.__name__
        if row["output_tokens"] == 0:
            assert row["input_tokens"] == 0
        assert len(row["attempts"]) == 1 and row["attempts"][0]["cost_usd"] == row["cost_usd"]
    stage.gateway.is_quiet()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_what_is_odd_but_good_reaches_the_client(stage: Stage, voice: Voice, stream: bool) -> None:
    ids = []
    for client in ROUTES:
        for play in ODD_BUT_GOOD:
            status, body, request_id = stage.ask(client, voice, play, stream=stream)
            assert status == 200, body
            ids.append(request_id)
            if stream:
                story = meant(client, voice, voice.stream(voice.tell()))
                assert not differences(story, READERS[client].read_stream(body.decode()))
            else:
                assert READERS[client].read_answer(json.loads(body)).choices[0].calls
    cost = (TOKENS_IN * PRICE[0] + TOKENS_OUT * PRICE[1]) / 1e6
    for row in stage.rows(ids):
        assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("done", TOKENS_IN, TOKENS_OUT)
        assert float(row["cost_usd"]) == pytest.approx(cost, abs=1e-12)


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_an_answer_of_the_other_kind(stage: Stage, voice: Voice) -> None:
    """A stream for a plain request, a JSON answer for a stream."""
    ids = []
    for client in ROUTES:
        for asks in (False, True):

            async def other(exchange: Exchange, body: bytes, kind: str, asks: bool = asks) -> None:
                if asks:
                    await exchange.json(ANSWERS[voice.dialect])
                    return
                kind = "text/event-stream" if voice.is_text else "application/vnd.amazon.eventstream"
                await exchange.answer(200, voice.stream(voice.tell()), content_type=kind)

            status, body, request_id = stage.ask(client, voice, other, stream=asks)
            assert status == 502
            is_told(client, status, body)
            ids.append(request_id)
    assert {(row["outcome"], row["error"], row["cost_usd"]) for row in stage.rows(ids)} == {
        ("failed", "stream_malformed", "0")
    }


# --- what the vendors' packages make of it ---


def broken_at(voice: Voice, place: int) -> Play:
    """The story up to a place, then the error of the provider's dialect, and a clean end of the message."""
    events = voice.tell()[:place]

    async def play(exchange: Exchange, _body: bytes, kind: str) -> None:
        await exchange.answer(200, voice.stream([*events, voice.error]), content_type=kind)

    return play


def whole_error(voice: Voice) -> Play:
    async def play(exchange: Exchange, _body: bytes, _kind: str) -> None:
        await exchange.send(head("text/html", f"content-length: {len(HTML)}", status="503 Service Unavailable") + HTML)

    return play


def raises(gateway: Gateway, client: str, model: str, *, stream: bool) -> Exception:
    """What the client's package raises, at the request or while its answer is read."""
    asked: Any = {"model": model, **BODIES[client], "stream": stream}
    asked.pop("stream_options", None)
    if client == "messages":
        with (
            anthropic.Anthropic(base_url=gateway.url, api_key=ALICE, max_retries=0) as claude,
            pytest.raises(anthropic.APIError) as caught,
        ):
            answer: Any = claude.messages.create(**asked)
            list(answer if stream else ())
        return caught.value
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as gpt,
        pytest.raises(openai.APIError) as failed,
    ):
        answer = gpt.responses.create(**asked) if client == "responses" else gpt.chat.completions.create(**asked)
        list(answer if stream else ())
    return failed.value


@pytest.mark.parametrize("client", ROUTES)
@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_the_vendors_packages_raise(stage: Stage, client: str, voice: Voice) -> None:
    content = next(number for number, event in enumerate(voice.tell()) if event.what == CONTENT)
    model = ASKED_IN[voice.dialect]
    kind = "text/event-stream" if voice.is_text else "application/vnd.amazon.eventstream"
    for place in (0, content + 1, content + 4):
        play = broken_at(voice, place)

        async def script(exchange: Exchange, play: Play = play) -> None:
            await play(exchange, b"", kind)

        stage.upstream.plays(script)
        error = raises(stage.gateway, client, model, stream=True)
        assert ERROR in str(error), error

    async def unavailable(exchange: Exchange) -> None:
        await whole_error(voice)(exchange, b"", "")

    stage.upstream.plays(unavailable)
    for stream in (False, True):
        error = raises(stage.gateway, client, model, stream=stream)
        assert getattr(error, "status_code", None) == 503, error
