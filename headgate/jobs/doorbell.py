"""Ringing for workers of other processes. The database is the truth: a sign that is lost costs the time of a poll."""

from __future__ import annotations

import asyncio
import logging

from headgate.errors import HeadgateError
from headgate.jobs.worker import Bell
from headgate.queue_ports import Signal

RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Doorbell:
    """Rings the `bell` of this process's worker, and gives a sign to others if there is a `signal`."""

    def __init__(self, bell: Bell, signal: Signal | None) -> None:
        self._bell = bell
        self._signal = signal
        self._rung = asyncio.Event()
        self._trouble = ""

    def connect(self, signal: Signal | None) -> None:
        """Give and hear signs by another one. Before it is used."""
        self._signal = signal

    def ring(self) -> None:
        """There may be work. What is rung while a sign is on its way is one sign."""
        self._bell.ring()
        self._rung.set()

    async def tell_forever(self) -> None:
        """Give signs to others whenever it is rung here."""
        while self._signal is not None:
            await self._rung.wait()
            self._rung.clear()
            try:
                await self._signal.give()
                self._note("")
            except HeadgateError as error:
                await self._rest(error)

    async def listen_forever(self) -> None:
        """Ring here whenever another gives a sign."""
        while self._signal is not None:
            try:
                await self._signal.wait()
                self._note("")
                self._bell.ring()
            except HeadgateError as error:
                await self._rest(error)

    async def aclose(self) -> None:
        """Give and hear no more signs."""
        if self._signal is not None:
            await self._signal.aclose()

    async def _rest(self, error: HeadgateError) -> None:
        self._note(f"workers are not rung for, and look every half second: {error.message}")
        await asyncio.sleep(RETRY_SECONDS)

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning(trouble)
        self._trouble = trouble
