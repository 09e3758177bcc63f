"""What a dialect has to offer: the two tables of functions that `translation.py` puts together.

A client dialect is read as a request and written as an answer; a provider dialect the other way round. Everything here
is sans I/O, and nothing here knows which provider or client is at the other end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from headgate.errors import HeadgateError
from headgate.types import Api, Frozen
from headgate.wire.chunks import Chunk
from headgate.wire.naming import Names
from headgate.wire.neutral import Answer, Part, Request, Target, Written

Fields = Mapping[str, msgspec.Raw]


class Splitter(Protocol):
    """Cuts a byte stream into frames."""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes. Raises ValueError when the framing is broken or a frame too long."""

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is held."""

    def take_rest(self) -> bytes:
        """What came after the last whole frame, once. Raises ValueError if that can be no frame either."""


class Listener(Protocol):
    """Reads one stream of a provider."""

    def read(self, frame: bytes) -> Sequence[Chunk]:
        """What a frame means; nothing for comments, pings and events of tomorrow.

        Raises ValueError for what is not the dialect, StreamFailed for an error that the provider tells in the stream.
        """

    def more_text(self, data: bytes) -> str:
        """The text, if `data` is one whole event that adds some to the text being told of the first choice, and says
        nothing else; empty if it is anything else, or may be. It never raises.

        Almost every event is that. It saves a list of frames, a list of chunks and the questions about each.
        """

    def missing(self) -> str:
        """What the stream lacks to be complete, as the end of a sentence ("a finish reason"); empty if nothing."""


class ReplyContext(Frozen, frozen=True):
    """What a writer has to know of the request it answers. `fields` are the members of the caller's body."""

    request_id: str
    created: int  # Unix seconds, for providers that do not say
    fields: Fields
    wants_usage: bool = False


class Writer(Protocol):
    """Writes one stream for a client."""

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The client's frames for these chunks, b"" if they say nothing to it yet."""

    def more_text(self, text: str) -> bytes:
        """The same as `write([TextDelta(text)])`."""

    def end(self) -> bytes:
        """The last frames of a complete stream: what must not leave before the ledger's record is written."""


class ClientDialect(Frozen, frozen=True):
    """One way in which callers speak. `name` is what the ledger calls it."""

    name: str
    names: Names
    read_request: Callable[[Fields], Request]  # raises InvalidRequest, naming the member
    shows: Callable[[Part], bool]  # whether a part of an answer has a place in this dialect's
    write_answer: Callable[[Answer, ReplyContext], bytes]
    writer: Callable[[ReplyContext], Writer]
    error_body: Callable[[HeadgateError, str], bytes]
    error_event: Callable[[HeadgateError, str], bytes]


class ProviderDialect(Frozen, frozen=True):
    """One way in which providers are spoken to."""

    api: Api
    write_request: Callable[[Request, Target], Written]
    read_answer: Callable[[bytes], Answer]  # raises ValueError, or StreamFailed for an error inside a 200
    listener: Callable[[], Listener]
    splitter: Callable[[], Splitter]
    stream_type: str = "text/event-stream"  # the media type of its streams
