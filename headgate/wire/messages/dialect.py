"""Anthropic's Messages as a dialect of callers and of providers."""

from __future__ import annotations

from functools import partial

from headgate.types import Api
from headgate.wire import sse
from headgate.wire.dialect import ClientDialect, ProviderDialect
from headgate.wire.messages.answer import read_answer, shows, write_answer
from headgate.wire.messages.errors import error_body, error_event
from headgate.wire.messages.request import read_request, write_request
from headgate.wire.messages.stream import StreamListener
from headgate.wire.messages.writer import StreamWriter
from headgate.wire.naming import Names

MAX_FRAME_BYTES = 16_000_000  # a page that a server tool has fetched may be one event

NAMES = Names(
    {
        "reasoning_effort": ("thinking", "output_config.effort"),
        "reasoning.summary": ("thinking.display",),
        "response_format": ("output_config.format", "output_format"),
        "stop": ("stop_sequences",),
        "parallel_tool_calls": ("tool_choice.disable_parallel_tool_use",),
        "user": ("metadata.user_id",),
    }
)
CLIENT = ClientDialect(
    name="anthropic",
    names=NAMES,
    read_request=read_request,
    shows=shows,
    write_answer=write_answer,
    writer=StreamWriter,
    error_body=error_body,
    error_event=error_event,
)
PROVIDER = ProviderDialect(
    api=Api.MESSAGES,
    write_request=write_request,
    read_answer=read_answer,
    listener=StreamListener,
    splitter=partial(sse.FrameSplitter, MAX_FRAME_BYTES),
)
