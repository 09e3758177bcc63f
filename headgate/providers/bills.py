"""What OpenAI and Anthropic say was used and what it costs, asked for page by page with an admin key.

Knows URLs, parameters and headers; what comes back is read in `wire/bills`. Nothing here is hot: one request at a time,
on connections that are closed at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import msgspec

from headgate import __version__
from headgate.bills import StatementLine
from headgate.errors import BillMalformed, BillUnavailable, UpstreamAuth
from headgate.providers.anthropic import API_VERSION
from headgate.providers.upstream.client import Client
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Frozen
from headgate.wire.bills import anthropic, openai
from headgate.wire.bills.numbers import SECONDS_PER_DAY, written_day

PAGE_DAYS = 31  # the most that both providers give
MAX_PAGES = 500  # of one report: more than a year of days of any number of models
MAX_PAGE_BYTES = 16_000_000
PAGE_SECONDS = 60.0
TRIES = 4
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
MOST_PAUSE_SECONDS = 60.0
_LONGEST_WORDS = 300

Parameters = Sequence[tuple[str, str]]
ReadPage = Callable[[bytes, str], tuple[list[StatementLine], str | None]]


class Account(Frozen, frozen=True):
    """Whose bill is asked for, and with which key."""

    provider: str  # its name in the configuration
    base_url: str
    admin_key: str
    project: str = ""  # or workspace; "": the whole account
    by_key: bool = False
    pause_seconds: float = 1.0  # before a page is asked for again; doubled each time


class Report(Frozen, frozen=True):
    """One kind of report: where it is, what is asked for, and how its pages are read."""

    path: str
    parameters: Parameters
    read: ReadPage


class _Words(msgspec.Struct, frozen=True):
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Words


class OpenAIBills:
    """The port `Statements` on OpenAI's organization API."""

    def __init__(self, account: Account, connector: Connector) -> None:
        self.source = f"OpenAI's organization API for {account.provider}"
        self._account = account
        self._pages = Pages(account, connector, {"authorization": f"Bearer {account.admin_key}"})

    async def read(self, first_day: int, last_day: int) -> list[StatementLine]:
        account = self._account
        times = [
            ("start_time", str(first_day * SECONDS_PER_DAY)),
            ("end_time", str((last_day + 1) * SECONDS_PER_DAY)),
            ("bucket_width", "1d"),
            ("limit", str(PAGE_DAYS)),
        ]
        if account.project:
            times.append(("project_ids", account.project))
        groups = [("group_by", "model"), *([("group_by", "api_key_id")] if account.by_key else [])]

        def usage(body: bytes, source: str) -> tuple[list[StatementLine], str | None]:
            return openai.usage_page(body, source, by_key=account.by_key)

        return await self._pages.all(
            Report("organization/usage/completions", [*times, *groups], usage),
            Report("organization/usage/embeddings", [*times, *groups], usage),
            Report("organization/costs", [*times, ("group_by", "line_item")], openai.cost_page),
        )


class AnthropicBills:
    """The port `Statements` on Anthropic's usage and cost reports."""

    def __init__(self, account: Account, connector: Connector) -> None:
        self.source = f"Anthropic's usage and cost reports for {account.provider}"
        self._account = account
        headers = {"x-api-key": account.admin_key, API_VERSION[0]: API_VERSION[1]}
        self._pages = Pages(account, connector, headers)

    async def read(self, first_day: int, last_day: int) -> list[StatementLine]:
        account = self._account
        times = [
            ("starting_at", f"{written_day(first_day)}T00:00:00Z"),
            ("ending_at", f"{written_day(last_day + 1)}T00:00:00Z"),
            ("bucket_width", "1d"),
            ("limit", str(PAGE_DAYS)),
        ]
        workspace = [("group_by[]", "workspace_id")] if account.project else []
        key = [("group_by[]", "api_key_id")] if account.by_key else []

        def usage(body: bytes, source: str) -> tuple[list[StatementLine], str | None]:
            return anthropic.usage_page(body, source, by_key=account.by_key, workspace=account.project)

        def cost(body: bytes, source: str) -> tuple[list[StatementLine], str | None]:
            return anthropic.cost_page(body, source, workspace=account.project)

        version = "" if account.base_url.endswith("/v1") else "v1/"
        return await self._pages.all(
            Report(
                f"{version}organizations/usage_report/messages",
                [*times, ("group_by[]", "model"), *key, *workspace],
                usage,
            ),
            Report(f"{version}organizations/cost_report", [*times, ("group_by[]", "description"), *workspace], cost),
        )


class Pages:
    """Asks for reports, page after page, and again where waiting may help."""

    def __init__(self, account: Account, connector: Connector, headers: Mapping[str, str]) -> None:
        self._account = account
        self._connector = connector
        self._headers = {"user-agent": f"headgate/{__version__}", "accept": "application/json", **headers}

    async def all(self, *reports: Report) -> list[StatementLine]:
        """The lines of all reports. Raises as `Statements.read` says."""
        lines: list[StatementLine] = []
        async with self._client() as client:
            for report in reports:
                lines += await self._report(client, report)
        return lines

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        client = Client(self._connector, PoolSettings(max_connections=1))
        try:
            yield client
        finally:
            await client.aclose()

    async def _report(self, client: Client, report: Report) -> list[StatementLine]:
        lines: list[StatementLine] = []
        seen: set[str] = set()
        cursor: str | None = None
        where = f"{report.path} of {self._account.provider}"
        while True:
            page = [("page", cursor)] if cursor is not None else []
            body = await self._page(client, f"{report.path}?{urlencode([*report.parameters, *page])}", where)
            found, cursor = report.read(body, where)
            lines += found
            if cursor is None:
                return lines
            if cursor in seen or len(seen) >= MAX_PAGES:
                raise BillMalformed(f"{where} pages for ever: {len(seen) + 1} pages, and it says that there are more.")
            seen.add(cursor)

    async def _page(self, client: Client, path: str, where: str) -> bytes:
        destination = client.destination(self._account.base_url, path, self._headers, "GET")

        async def ask() -> tuple[int, bytes, Mapping[str, str]]:
            response = await client.send(destination, b"")
            try:
                return response.status, await _whole(response.read, where), response.headers
            finally:
                response.close()

        pause = self._account.pause_seconds
        for left in reversed(range(TRIES)):
            try:
                async with asyncio.timeout(PAGE_SECONDS):
                    status, body, headers = await ask()
            except TimeoutError:
                raise BillUnavailable(f"{where} did not answer within {PAGE_SECONDS:g} seconds.") from None
            if status == 200:
                return body
            if status in (401, 403):
                raise UpstreamAuth(
                    f"{where}: the admin key was refused ({status}: {_words(body)}). It must be an admin key of the "
                    f"organization, in providers.{self._account.provider}.billing.admin_key."
                )
            if status not in RETRIED or not left:
                raise BillUnavailable(f"{where} answered {status}: {_words(body)}.")
            await asyncio.sleep(_pause(headers.get("retry-after", ""), pause))
            pause *= 2
        raise AssertionError("the last try returns or raises")


async def _whole(read: Callable[[], Awaitable[bytes]], where: str) -> bytes:
    body = bytearray()
    while piece := await read():
        body += piece
        if len(body) > MAX_PAGE_BYTES:
            raise BillMalformed(f"{where}: a page of more than {MAX_PAGE_BYTES:,} bytes.")
    return bytes(body)


def _pause(retry_after: str, otherwise: float) -> float:
    return min(float(retry_after) if retry_after.isdecimal() else otherwise, MOST_PAUSE_SECONDS)


def _words(body: bytes) -> str:
    """The provider's sentence, or the beginning of whatever came."""

    try:
        said = msgspec.json.decode(body, type=_Refusal).error.message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = body.decode("utf-8", "replace")
    return " ".join(said.split())[:_LONGEST_WORDS].rstrip(".") or "nothing"
