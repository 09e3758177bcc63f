"""Reading documents in a process beside this one (`child.py`), one after the other: no document can hold up or end a
gateway."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from headgate import document_errors
from headgate.document_errors import DocumentBroken
from headgate.documents.child import LENGTH
from headgate.errors import HeadgateError, InvalidRequest, MissingExtra

READ_SECONDS = 300.0

_ERRORS: dict[str, type[HeadgateError]] = {
    kind.code: kind
    for kind in (*vars(document_errors).values(), MissingExtra)
    if isinstance(kind, type) and issubclass(kind, InvalidRequest | MissingExtra)
}


class ReaderApart:
    """The process starts with the first document, and anew after one that it did not survive."""

    def __init__(self, limit_seconds: float = READ_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def read(self, name: str, content: bytes) -> str:
        """The text of a file. Raises as `reading.text_of`, and DocumentBroken for one that takes too long."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._limit_seconds):
                    text, code, message = await self._ask(name, content)
            except TimeoutError:
                why = f"'{name}' could not be read within {self._limit_seconds:g} seconds."
                raise DocumentBroken(why) from None
            except (OSError, EOFError):
                raise DocumentBroken(f"'{name}' ended the process that read it.") from None
        if code:
            raise _ERRORS.get(code, DocumentBroken)(message)
        return text

    async def aclose(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()

    async def _ask(self, name: str, content: bytes) -> tuple[str, str, str]:
        child = self._child or await self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        request = msgspec.msgpack.encode((name, content))
        try:
            child.stdin.write(LENGTH.pack(len(request)) + request)
            await child.stdin.drain()
            (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
            told = await child.stdout.readexactly(length)
        except BaseException:
            await self.aclose()  # an answer may still come, and must not be taken for the next one's
            raise
        return msgspec.msgpack.decode(told, type=tuple[str, str, str])

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own keeps the terminal's Ctrl-C from it: it ends when its stdin does.
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "headgate.documents.child",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return self._child
