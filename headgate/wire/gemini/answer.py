"""Reads a whole answer of Gemini: the chunks of a stream of one event, put together."""

from __future__ import annotations

from headgate.wire.chunks import Chunk
from headgate.wire.folding import fold
from headgate.wire.gemini.response import may_be_cut, split_responses
from headgate.wire.gemini.stream import StreamListener
from headgate.wire.neutral import Answer
from headgate.wire.surrogates import mend


def read_answer(body: bytes) -> Answer:
    """A body of status 200: one response, or an array of the events of a stream that was not asked for as SSE.

    Raises ValueError for what is not the dialect or lacks a finish reason, StreamFailed with the provider's own words
    for an error in it.
    """
    listener = StreamListener()
    chunks: list[Chunk] = []
    for response in split_responses(mend(body) if may_be_cut(body) else body):
        chunks += listener.read_data(response)
    answer = fold(chunks)
    if answer.choices and (missing := listener.missing()):
        raise ValueError(f"it lacks {missing}")
    return answer
