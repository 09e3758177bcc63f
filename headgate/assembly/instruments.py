"""The composition root of what a process tells of itself: metrics, request lines, spans, and how late its loop is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from headgate import __version__
from headgate.config.schema import ServerConfig
from headgate.ports import Observer, Witness
from headgate.telemetry.directory import MetricsDirectory
from headgate.telemetry.lines import LineWriter
from headgate.telemetry.looplag import LoopLag
from headgate.telemetry.metrics import LiveGauges, Metrics
from headgate.telemetry.page import MetricsPage
from headgate.telemetry.promptlog import PromptLog
from headgate.telemetry.requestlog import RequestLog


class Instruments:
    """Made inside the event loop. `observers` and `witness` are told of requests; `directory` is shared by workers."""

    def __init__(
        self, server: ServerConfig, gauges: LiveGauges, is_model: Callable[[str], bool], directory: Path | None
    ) -> None:
        self.metrics = Metrics(gauges, is_model)
        self.page = MetricsPage(self.metrics, None if directory is None else MetricsDirectory(directory))
        self._lines = LineWriter(sys.stderr.fileno())
        self._lag = LoopLag(self.metrics.loop_lagged)
        self._close_spans: Callable[[], None] = lambda: None
        self.observers: tuple[Observer, ...] = tuple(self._observers(server))
        self.witness: Witness | None = PromptLog(self._lines.write) if server.log.prompts else None

    def start(self) -> None:
        """Begin to look at the loop."""
        self._lag.start()

    def rest(self) -> None:
        """Look no longer."""
        self._lag.stop()
        self.page.close()

    async def aclose(self) -> None:
        """Send what is left."""
        await asyncio.to_thread(self._close_spans)
        await self._lines.aclose()

    def _observers(self, server: ServerConfig) -> list[Observer]:
        observers: list[Observer] = [self.metrics]
        if server.log.requests != "off":
            observers.append(RequestLog(self._lines.write_later, server.log.requests))
        if server.tracing.otlp_endpoint:
            from headgate.telemetry.tracing import Spans, otlp_processor

            spans = Spans(otlp_processor(server.tracing.otlp_endpoint), server.tracing.sample_share, __version__)
            observers.append(spans)
            self._close_spans = spans.close
        return observers
