"""What `/metrics` answers, from one worker or from many.

Owns when snapshots are taken, published and rendered, and that the work of it stays off the event loop.
"""

from __future__ import annotations

import asyncio
import logging

from headgate.telemetry.directory import MetricsDirectory
from headgate.telemetry.metrics import Metrics
from headgate.telemetry.totals import Snapshot, Totals

PUBLISH_SECONDS = 1.0

_log = logging.getLogger(__name__)


class MetricsPage:
    """The metrics of the whole service. Without a directory there is one worker and no file is written."""

    def __init__(self, metrics: Metrics, directory: MetricsDirectory | None = None) -> None:
        self._metrics = metrics
        self._directory = directory

    async def text(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return await asyncio.to_thread(self._render, self._metrics.snapshot())

    async def totals(self) -> Totals:
        """What was counted, in all workers."""
        own = self._metrics.snapshot()
        return (await asyncio.to_thread(self._directory.merged, own) if self._directory else own).totals

    async def publish_forever(self) -> None:
        """Publish every PUBLISH_SECONDS until cancelled; a kill -9 loses so much. Returns if there is no directory."""
        while self._directory:
            try:
                await asyncio.to_thread(self._directory.publish, self._metrics.snapshot())
            except OSError as error:
                _log.warning("metrics could not be published, the other workers show old ones: %s", error)
            await asyncio.sleep(PUBLISH_SECONDS)

    def close(self) -> None:
        """Publish for the last time and leave the directory. Raises OSError."""
        if self._directory:
            self._directory.publish(self._metrics.snapshot())
            self._directory.close()

    def _render(self, own: Snapshot) -> tuple[bytes, str]:
        from headgate.telemetry.exposition import CONTENT_TYPE, exposition  # not before somebody asks

        return exposition(self._directory.merged(own) if self._directory else own), CONTENT_TYPE
