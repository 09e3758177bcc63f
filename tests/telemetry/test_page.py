"""What /metrics answers, and that workers tell each other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from headgate.telemetry.directory import MetricsDirectory
from headgate.telemetry.page import MetricsPage
from headgate.telemetry.totals import Snapshot
from tests.telemetry.samples import metrics, record


def test_one_process_needs_no_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        counted = metrics()
        counted.settled(record(), ())
        page = MetricsPage(counted)
        await page.publish_forever()
        assert b"headgate_workers 1.0" in (await page.text())[0]
        page.close()

    asyncio.run(scenario())


def test_what_one_worker_published_last_is_shown_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = metrics(), metrics()
        leaving = MetricsPage(first, MetricsDirectory(tmp_path))
        staying = MetricsPage(second, MetricsDirectory(tmp_path))
        first.unauthenticated()
        leaving.close()
        text, content_type = await staying.text()
        assert content_type.startswith("text/plain; version=")
        assert b"headgate_unauthenticated_total 1.0" in text
        assert b"headgate_workers 1.0" in text
        staying.close()

    asyncio.run(scenario())


def test_publishing_goes_on_without_being_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        published = threading.Event()

        class Directory(MetricsDirectory):
            def publish(self, own: Snapshot) -> Snapshot:
                result = super().publish(own)
                published.set()
                return result

        page = MetricsPage(metrics(), Directory(tmp_path))
        publishing = asyncio.create_task(page.publish_forever())
        async with asyncio.timeout(120):
            await asyncio.to_thread(published.wait)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        page.close()

    asyncio.run(scenario())
