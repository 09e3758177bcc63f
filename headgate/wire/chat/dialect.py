"""OpenAI's chat completions as headgate offers them to callers and asks servers for them."""

from __future__ import annotations

from headgate.types import Api
from headgate.wire import openai, openai_stream
from headgate.wire.chat.answer import read_answer, shows, write_answer
from headgate.wire.chat.messages import DIALECT
from headgate.wire.chat.provider_request import write_request
from headgate.wire.chat.request import read_request
from headgate.wire.chat.stream import StreamListener
from headgate.wire.chat.writer import StreamWriter
from headgate.wire.dialect import ClientDialect, ProviderDialect, Splitter
from headgate.wire.naming import Names
from headgate.wire.sse import FrameSplitter


def _splitter() -> Splitter:
    return FrameSplitter(openai_stream.MAX_FRAME_BYTES)


# How much to think is said in either of two members.
NAMES = Names({"reasoning_effort": ("reasoning_effort", "reasoning"), "tools": ("tools", "functions")})
CLIENT = ClientDialect(
    name=DIALECT,
    names=NAMES,
    read_request=read_request,
    shows=shows,
    write_answer=write_answer,
    writer=StreamWriter,
    error_body=openai.error_body,
    error_event=openai_stream.error_event,
)
PROVIDER = ProviderDialect(
    api=Api.CHAT,
    write_request=write_request,
    read_answer=read_answer,
    listener=StreamListener,
    splitter=_splitter,
)
