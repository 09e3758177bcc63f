"""What a client of each dialect gets of a provider's stream, and what headgate itself makes of it, without I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headgate.errors import HeadgateError
from headgate.types import Call, Route, Usage
from headgate.wire.dialects import CLIENTS, dialogues
from headgate.wire.neutral import Target
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker
from headgate.wire.translation import Ask, Dialogue
from tests.conformance.judging import READERS, in_words_of
from tests.conformance.meaning import Reading
from tests.conformance.recordings import READERS as PROVIDER_READERS
from tests.hostile.voices import VOICES, Voice

ROUTES = {"chat": Route.CHAT, "responses": Route.RESPONSES, "messages": Route.MESSAGES}
QUESTION = [{"role": "user", "content": "How does the wheel turn?"}]
BODIES = {
    "chat": {"messages": QUESTION, "stream_options": {"include_usage": True}},
    "responses": {"input": "How does the wheel turn?"},
    "messages": {"messages": QUESTION, "max_tokens": 100},
}
PAIRS = [(client, voice) for client in ROUTES for voice in VOICES.values()]
PAIR_NAMES = [f"{client} to {voice.dialect}" for client, voice in PAIRS]
ASK = Ask(Target("their-model"), None, may_drop=True, now=1_790_000_000)


@dataclass(frozen=True)
class Heard:
    """What came of a stream. `body` is all that the client gets, the error event with it if there is one."""

    body: bytes
    failure: HeadgateError | None = field(compare=False)  # its words are in the body
    committed: bool
    content_events: int
    usage: Usage | None
    usage_so_far: Usage | None
    texts: str

    def reading(self, client: str) -> Reading:
        """What an onlooker reads in it."""
        return READERS[client].read_stream(self.body.decode())


def call(client: str, *, stream: bool = True) -> Call:
    """A call in the dialect of a client."""
    route = ROUTES[client]
    body = json.dumps({"model": "small", "stream": stream, **BODIES[client]}).encode()
    return speaker(route).parse_call(route, body, "req_1", CallHeaders())


def dialogue(client: str, voice: Voice) -> Dialogue:
    """How a call of this client is put to a provider with this voice."""
    return dialogues(voice.kind, voice.serves)[ROUTES[client]]


def hear(client: str, voice: Voice, pieces: Iterable[bytes], *, ends: bool = True) -> Heard:
    """Let a stream come in these pieces; without `ends` nobody said that it is over."""
    reader = dialogue(client, voice).read_stream(call(client), ASK)
    forwarded = []
    for piece in pieces:
        forwarded.append(reader.feed(piece))
        if reader.failure is not None:
            break
    if ends:
        reader.finish()
    if reader.failure is not None:
        forwarded.append(CLIENTS[ROUTES[client]].error_event(reader.failure, "req_1"))
    elif ends:
        forwarded.append(reader.tail)
    return Heard(
        body=b"".join(forwarded),
        failure=reader.failure,
        committed=reader.committed,
        content_events=reader.content_events,
        usage=reader.usage,
        usage_so_far=reader.usage_so_far,
        texts="".join(reader.texts),
    )


def meant(client: str, voice: Voice, stream: bytes) -> Reading:
    """What the provider's stream means, in the words that a client's dialect has for it."""
    told = stream.decode() if voice.is_text else stream
    return in_words_of(PROVIDER_READERS[voice.dialect].read_stream(told), client)


def halves(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Every way to cut the data in two."""
    return [(data[:place], data[place:]) for place in range(1, len(data))]
