"""The quick way of text through a stream (`more_text`) tells the same as the long one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.chat import dialect as chat
from headgate.wire.chunks import (
    Chunk,
    Ended,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.dialect import ClientDialect, ProviderDialect, ReplyContext
from headgate.wire.messages import dialect as messages
from headgate.wire.neutral import Finish
from headgate.wire.responses import dialect as responses
from headgate.wire.translation import TranslatedStream

CONTEXT = ReplyContext("req_1", 1_750_000_000, {}, wants_usage=True)
SPOKEN = [
    (chat.CLIENT, chat.PROVIDER),
    (messages.CLIENT, messages.PROVIDER),
    (responses.CLIENT, responses.PROVIDER),
]
CLIENTS = [client for client, _ in SPOKEN]

texts = st.sampled_from([" stream", "", "\n", "Mühle", "\U0001f3de", '"', "\\u0041"])
pieces: st.SearchStrategy[Chunk] = st.one_of(
    st.builds(TextDelta, texts),
    st.builds(TextDelta, texts),  # twice, so that most follow another
    st.builds(TextDelta, texts, choice=st.just(1)),
    st.builds(ThinkingDelta, texts),
    st.builds(RefusalDelta, texts),
)
calls = st.lists(st.builds(ToolCallDelta, st.just(0), texts), max_size=2)


def frames_of(client: ClientDialect, said: list[Chunk], arguments: list[Chunk]) -> list[bytes]:
    """The stream of a provider that speaks as our callers do, frame by frame."""
    writer = client.writer(CONTEXT)
    call: list[Chunk] = [ToolCallStarted(0, "call_1", "look"), *arguments] if arguments else []
    chunks = [Started("a", "b"), *said, *call, *said, Finished(Finish.STOP), Ended()]
    stream = b"".join(writer.write([chunk]) for chunk in chunks) + writer.end()
    return [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]


def outcome(stream: TranslatedStream, forwarded: bytes) -> tuple[bytes, list[str], int, bytes, str]:
    stream.finish()
    return forwarded, stream.texts, stream.content_events, stream.tail, str(stream.failure)


@pytest.mark.parametrize("client", [None, *CLIENTS], ids=lambda client: client.name if client else "passed-on")
@pytest.mark.parametrize(("speaker", "provider"), SPOKEN, ids=lambda dialect: getattr(dialect, "name", "provider"))
@given(said=st.lists(pieces, max_size=8), arguments=calls)
def test_events_one_by_one_are_told_as_those_that_come_together(
    client: ClientDialect | None,
    speaker: ClientDialect,
    provider: ProviderDialect,
    said: list[Chunk],
    arguments: list[Chunk],
) -> None:
    frames = frames_of(speaker, said, arguments)
    streams = [
        TranslatedStream(provider.splitter(), provider.listener(), client.writer(CONTEXT) if client else None)
        for _ in range(2)
    ]

    one_by_one = outcome(streams[0], b"".join([streams[0].feed(frame) for frame in frames]))
    together = outcome(streams[1], streams[1].feed(b"".join(frames)))

    assert one_by_one == together


@pytest.mark.parametrize(("speaker", "provider"), SPOKEN, ids=lambda dialect: getattr(dialect, "name", "provider"))
def test_most_events_take_the_quick_way(speaker: ClientDialect, provider: ProviderDialect) -> None:
    frames = frames_of(speaker, [TextDelta(" stream")] * 20, [])
    stream = provider.listener()
    quick = 0
    for frame in frames:
        if stream.more_text(frame):
            quick += 1
        else:
            stream.read(frame)

    assert quick > 35
