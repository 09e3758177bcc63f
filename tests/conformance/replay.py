"""Recordings played again: a local upstream answers as recorded, a real gateway stands before it, a client asks."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from types import TracebackType

from headgate.errors import HeadgateError
from tests.conformance import asking, requested
from tests.conformance.judging import Reply, judge
from tests.conformance.meaning import Json
from tests.conformance.recordings import SAMPLE, Recording, from_golden, load
from tests.e2e import upstream as provider
from tests.e2e.gateway import ALICE, HOST, WAIT_SECONDS, Gateway
from tests.e2e.upstream import Upstream
from tests.golden import exchanges

CLIENTS = ("chat", "responses", "messages")
PIECE_BYTES = 700
SERVER_EVENTS, AWS_EVENTS = "text/event-stream", "application/vnd.amazon.eventstream"
# The kind of provider that speaks each dialect, where it is not OpenAI's.
KINDS = {"messages": "anthropic", "count_tokens": "anthropic", "embed_contents": "gemini", "converse": "bedrock"}


UPSTREAM_MODELS = {
    "openai": "gpt-5-mini",
    "azure": "gpt-5-mini",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
    "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}
# A model that is asked in each dialect.
ASKED_IN = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic",
    "gemini": "gemini",
    "converse": "bedrock",
}


def clients(recording: Recording) -> tuple[str, ...]:
    """The dialects of the clients that the recording is served to, its own first."""
    if recording.dialect not in (*CLIENTS, "gemini", "converse"):
        return (recording.dialect,)
    return tuple(sorted(CLIENTS, key=lambda client: client != recording.dialect))


def public_model(recording: Recording) -> str:
    """The model whose deployment plays this recording."""
    if recording.dialect == "gemini":
        return "vertex" if recording.provider == "vertex" else "gemini"
    if recording.dialect in KINDS:
        return KINDS[recording.dialect]
    kind = "azure" if recording.provider.startswith("azure") else "openai"
    return f"{kind}-{'responses' if recording.dialect == 'responses' else 'chat'}"


def served(upstream_url: str) -> Json:
    """Providers and models for every kind of recording, to be added to a gateway's configuration."""
    root = upstream_url.removesuffix("/v1")
    secret = {"api_key": "sk-upstream-secret", "proxy": "none"}
    providers = {
        "openai": {"kind": "openai", "base_url": upstream_url, **secret},
        "azure": {"kind": "azure", "base_url": root, **secret},
        "anthropic": {"kind": "anthropic", "base_url": upstream_url, **secret},
        "gemini": {"kind": "gemini", "base_url": f"{root}/v1beta", **secret},
        "vertex": {"kind": "vertex", "base_url": f"{root}/v1beta1", **secret},
        "bedrock": {"kind": "bedrock", "base_url": root, **secret},
    }
    models = {}
    for kind, name in UPSTREAM_MODELS.items():
        for api in ("chat", "responses") if kind in ("openai", "azure") else ("",):
            deployment = {"provider": kind, "model": name} | ({"api": api} if api else {})
            models[f"{kind}-{api}" if api else kind] = _model(deployment)
    return {"providers": providers, "models": models}


def _model(deployment: Json) -> Json:
    return {
        "price": {"input": 1, "output": 2},
        "retries": 0,
        "on_untranslatable": "drop",
        "breaker": {"failures": 1_000_000, "minimum_requests": 1_000_000},
        "deployments": [deployment],
    }


def playing(recording: Recording) -> provider.Script:
    """Answers as recorded, streams in pieces that know nothing of events."""

    async def script(exchange: provider.Exchange) -> None:
        data = recording.body
        if recording.stream is None:
            await exchange.answer(recording.status, data)
            return
        await exchange.begin_stream(content_type=AWS_EVENTS if isinstance(recording.stream, bytes) else SERVER_EVENTS)
        for start in range(0, len(data), PIECE_BYTES):
            await exchange.chunk(data[start : start + PIECE_BYTES])
        await exchange.end_stream()

    return script


class Replay:
    """One gateway and one upstream, for one recording after the other."""

    def __init__(self, folder: Path) -> None:
        self._upstream = Upstream()
        self._folder = folder
        known = [*load(SAMPLE), *map(from_golden, exchanges.load())]
        self._answers = {each.dialect: each for each in known if each.status == 200 and not each.streamed}

    def __enter__(self) -> Replay:
        self._upstream.start()
        self._gateway = Gateway(self._folder, self._upstream.url, served(self._upstream.url))
        self._gateway.start()
        self._connection = http.client.HTTPConnection(HOST, self._gateway.port, timeout=WAIT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._gateway.stop()
        self._upstream.stop()

    def problems(self, recording: Recording, client: str) -> list[str]:
        """What the client did not get as it was recorded."""
        try:
            body = asking.request(recording, client, public_model(recording))
        except HeadgateError as error:
            return [f"the recorded request is refused: {error.message}"]
        self._upstream.plays(playing(recording))
        reply = self._ask(asking.PATHS[client], client, json.dumps(body).encode())
        if self._upstream.failures:
            return [f"the upstream failed: {self._upstream.failures}"]
        try:
            return judge(recording, client, reply)
        except (LookupError, TypeError, ValueError, AssertionError) as error:
            return [f"nobody can read it: {error!r}; the client got {reply.text:.300}"]

    def lost(self, recording: Recording, dialect: str) -> tuple[list[str], bool]:
        """What the recorded request said and a provider that speaks this dialect was not told, and whether the caller
        was told that something is missing. The provider's answer is a recorded one; only the request is looked at.
        """
        body = {**recording.request, "model": ASKED_IN[dialect], "stream": False}
        self._upstream.plays(playing(self._answers[dialect]))
        reply = self._ask(asking.PATHS[recording.dialect], recording.dialect, json.dumps(body).encode())
        if reply.status != 200:
            return [f"status {reply.status}: {reply.text:.300}"], False
        told = requested.READERS[dialect](self._upstream.exchange().body)
        said = requested.READERS[recording.dialect](recording.request)
        return requested.lost(said, told), "x-headgate-dropped" in reply.headers

    def _ask(self, path: str, client: str, body: bytes) -> Reply:
        key = {"x-api-key": ALICE} if client in ("messages", "count_tokens") else {"authorization": f"Bearer {ALICE}"}
        self._connection.request("POST", f"/v1/{path}", body, {"content-type": "application/json", **key})
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())
