"""Recorded exchanges with real providers, played again behind a real gateway: the client gets what was recorded."""

from __future__ import annotations

import json

import pytest

from tests.e2e import upstream as provider
from tests.e2e.gateway import Gateway, Json
from tests.e2e.upstream import Upstream
from tests.golden.exchanges import Exchange, load, look

PATHS = {"chat.completions": "chat/completions", "completions": "completions", "embeddings": "embeddings"}
PIECE_BYTES = 700
OUR_FAULT = (401, 403)  # the provider refused the gateway's key, not the client's


def playing(exchange: Exchange) -> provider.Script:
    """Answers as recorded, streams in pieces that know nothing of events."""

    async def script(client: provider.Exchange) -> None:
        if exchange.response_text is None:
            await client.answer(exchange.status, json.dumps(exchange.response).encode())
            return
        data = exchange.response_text.encode()
        await client.begin_stream()
        for start in range(0, len(data), PIECE_BYTES):
            await client.chunk(data[start : start + PIECE_BYTES])
        await client.end_stream()

    return script


def payloads(stream: str) -> list[str]:
    return [line[5:].strip() for line in stream.split("\n") if line.startswith("data:")]


def expected_payloads(exchange: Exchange) -> list[str]:
    """Those recorded, without the usage chunk where the gateway asked for it and the client did not."""
    stream = exchange.response_text or ""
    if not (exchange.request.get("stream_options") or {}).get("include_usage"):
        for frame in look(stream).usage_frames:
            stream = stream.replace(frame, "", 1)
    recorded = payloads(stream)
    return recorded[: recorded.index("[DONE]") + 1] if "[DONE]" in recorded else recorded


def replay(exchange: Exchange, gateway: Gateway, upstream: Upstream) -> tuple[int, bytes]:
    """What a client gets."""
    upstream.plays(playing(exchange))
    model = "embed" if exchange.api == "embeddings" else "small"
    status, headers, body = gateway.request("POST", f"/v1/{PATHS[exchange.api]}", {**exchange.request, "model": model})
    assert headers["x-request-id"].startswith("req_")
    assert headers["content-type"].startswith("text/event-stream" if exchange.response_text else "application/json")
    return status, body


def check(exchange: Exchange, status: int, body: bytes) -> None:
    """Compare what the client got with what was recorded."""
    if exchange.status in OUR_FAULT:
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_auth")
    elif exchange.response_text is None:
        assert (status, body) == (exchange.status, json.dumps(exchange.response).encode())
    else:
        got, recorded = payloads(body.decode()), expected_payloads(exchange)
        assert status == 200
        if look(exchange.response_text).complete:
            assert got == recorded
        else:
            told: Json = json.loads(got[-1])
            assert recorded[: len(got) - 1] == got[:-1] and told["error"]["code"].startswith("stream_")


EXCHANGES = load()


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange.name for exchange in EXCHANGES])
def test_the_client_gets_what_was_recorded(exchange: Exchange, gateway: Gateway, upstream: Upstream) -> None:
    check(exchange, *replay(exchange, gateway, upstream))
