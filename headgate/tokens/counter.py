"""The token counters: exact for the families whose vocabulary is at hand, estimated for all others.

Owns which model has which vocabulary, and the life of the process that counts (`child.py`). What a request adds around
its texts is `wire/prompts.py`'s.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import struct
import sys
from collections.abc import Sequence

import msgspec

from headgate.policy.estimating import estimate_tokens

COUNT_SECONDS = 10.0  # loading a vocabulary included
CHARACTERS_PER_TURN = 32_768  # estimated before the event loop goes on: about 0.8 ms

_log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_TOTAL = struct.Struct(">Q")

# By the public statements of OpenAI (tiktoken's model list). Names may carry an owner ("openai/gpt-4o").
_FAMILIES = (
    ("o200k_base", re.compile(r"(ft:)?(chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-[5-9]|gpt-oss|o[1-9])(\b|[-_.:])")),
    ("cl100k_base", re.compile(r"(ft:)?(gpt-4|gpt-3\.?5|text-embedding-(3|ada-002)|(babbage|davinci)-002)(\b|[-_.:])")),
)


def encoding_of(upstream_model: str) -> str | None:
    """The name of the model's vocabulary, None if it is not at hand."""
    name = upstream_model.lower().rpartition("/")[2]
    return next((encoding for encoding, family in _FAMILIES if family.match(name)), None)


class EstimatingCounter:
    """Implements `ports.TokenCounter` by `policy.estimating` alone: no process, no extra, same on a virtual loop."""

    async def count(self, upstream_model: str, texts: Sequence[str]) -> int:
        """Estimated tokens of the texts together. Of a long prompt others have their turn between the texts."""
        tokens = characters = 0
        for text in texts:
            tokens += estimate_tokens(text)
            characters += len(text)
            if characters >= CHARACTERS_PER_TURN:
                characters = 0
                await asyncio.sleep(0)
        return tokens


class OfflineCounter:
    """Implements `ports.TokenCounter`. Without the extra `headgate[tokenizers]` it estimates everything.

    The counting process starts with the first text of a known family. If it fails or is too slow, that text is
    estimated and the next one gets a new process: a count is never missing.
    """

    def __init__(self) -> None:
        self._available = importlib.util.find_spec("toktok") is not None
        self._estimator = EstimatingCounter()
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def count(self, upstream_model: str, texts: Sequence[str]) -> int:
        """Tokens of the texts together."""
        encoding = encoding_of(upstream_model) if self._available else None
        if encoding is not None and any(texts):
            try:
                async with asyncio.timeout(COUNT_SECONDS), self._turn:
                    return await self._ask(encoding, texts)
            except (OSError, EOFError, TimeoutError) as error:
                _log.warning("the token counting process failed, so tokens were estimated: %r", error)
        return await self._estimator.count(upstream_model, texts)

    async def aclose(self) -> None:
        """End the counting process. Counts under way and later ones are estimated."""
        self._available = False
        await self._stop()

    async def _ask(self, encoding: str, texts: Sequence[str]) -> int:
        child = self._child or await self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        request = msgspec.msgpack.encode((encoding, [text.encode("utf-8", "replace").decode() for text in texts]))
        try:
            child.stdin.write(_LENGTH.pack(len(request)) + request)
            await child.stdin.drain()
            (total,) = _TOTAL.unpack(await child.stdout.readexactly(_TOTAL.size))
        except BaseException:
            # Cancelled or broken in the middle: an answer may still come, and must not be taken for the next one's.
            await self._stop()
            raise
        return int(total)

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own keeps the terminal's Ctrl-C from it: it ends when its stdin does.
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "headgate.tokens.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return self._child

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child and child.returncode is None:
            child.kill()
            await child.wait()
