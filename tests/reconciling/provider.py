"""A provider's billing API on the loopback: what OpenAI and Anthropic document, from a list of the calls it served.

Pages have few days, so that every report has several. Faults are put in front of the next answers.
"""

from __future__ import annotations

import base64
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from headgate.bills import Tokens
from headgate.policy.amounts import plus

ADMIN_KEY = "sk-admin-for-tests"
DAY = 86_400
PAGE_DAYS = 3


@dataclass(frozen=True)
class Call:
    """One request as the provider counts it, on its own clock."""

    at: float
    model: str
    key: str
    tokens: Tokens
    cost_picousd: int
    project: str | None = None

    @property
    def day(self) -> int:
        return int(self.at // DAY)


@dataclass
class Provider:
    """What it served, other charges (day, name, cost), and what goes wrong next: (status, body) pairs."""

    calls: list[Call] = field(default_factory=list)
    charges: list[tuple[int, str, int]] = field(default_factory=list)
    faults: list[tuple[int, bytes]] = field(default_factory=list)
    endless: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(target)
        if self.faults:
            return self.faults.pop(0)
        url = urlsplit(target)
        query = parse_qs(url.query)
        openai = headers.get("authorization") == f"Bearer {ADMIN_KEY}"
        anthropic = headers.get("x-api-key") == ADMIN_KEY and headers.get("anthropic-version") == "2023-06-01"
        if not (openai or anthropic):
            return 401, b'{"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error"}}'
        reports = {
            "/v1/organization/usage/completions": self._completions,
            "/v1/organization/usage/embeddings": self._embeddings,
            "/v1/organization/costs": self._costs,
            "/v1/organizations/usage_report/messages": self._messages,
            "/v1/organizations/cost_report": self._cost_report,
        }
        report = reports.get(url.path)
        if report is None:
            return 404, b'{"error": {"message": "Invalid URL"}}'
        first, last = _days(query)
        cursor = base64.urlsafe_b64decode(query["page"][0]).decode() if "page" in query else str(first)
        days = range(int(cursor), min(int(cursor) + PAGE_DAYS, last + 1))
        more = days.stop <= last or self.endless
        following = first if self.endless and days.stop > last else days.stop
        page = {
            "object": "page",
            "data": [report(day, query) for day in days],
            "has_more": more,
            "next_page": base64.urlsafe_b64encode(str(following).encode()).decode() if more else None,
        }
        return 200, msgspec.json.encode(page)

    # --- OpenAI ---

    def _completions(self, day: int, query: dict[str, list[str]]) -> dict[str, Any]:
        return self._usage(day, query, embeddings=False)

    def _embeddings(self, day: int, query: dict[str, list[str]]) -> dict[str, Any]:
        return self._usage(day, query, embeddings=True)

    def _usage(self, day: int, query: dict[str, list[str]], *, embeddings: bool) -> dict[str, Any]:
        results = []
        for (model, key), (count, tokens) in self._groups(day, query, "api_key_id" in query["group_by"]).items():
            if ("embedding" in model) != embeddings:
                continue
            result = {
                "object": f"organization.usage.{'embeddings' if embeddings else 'completions'}.result",
                "input_tokens": tokens.input,
                "num_model_requests": count,
                "project_id": None,
                "user_id": None,
                "api_key_id": key,
                "model": model,
            }
            if not embeddings:
                result |= {
                    "output_tokens": tokens.output,
                    "input_cached_tokens": tokens.cached_input,
                    "input_cache_write_tokens": tokens.cache_write,
                    "batch": None,
                    "service_tier": None,
                }
            results.append(result)
        return {"object": "bucket", "start_time": day * DAY, "end_time": (day + 1) * DAY, "results": results}

    def _costs(self, day: int, query: dict[str, list[str]]) -> dict[str, Any]:
        assert query["group_by"] == ["line_item"], "the API groups costs by nothing finer"
        items: dict[str, int] = defaultdict(int)
        for call in self._of(day, query):
            part = call.cost_picousd // 3
            items[f"{call.model}, input"] += part
            items[f"{call.model}, output"] += call.cost_picousd - part
        for on, name, cost in self.charges:
            if on == day:
                items[name] += cost
        results = [
            {
                "object": "organization.costs.result",
                "amount": {"value": msgspec.Raw(f"{Decimal(cost) / 10**12:f}".encode()), "currency": "usd"},
                "line_item": name,
                "project_id": None,
            }
            for name, cost in items.items()
        ]
        return {"object": "bucket", "start_time": day * DAY, "end_time": (day + 1) * DAY, "results": results}

    # --- Anthropic ---

    def _messages(self, day: int, query: dict[str, list[str]]) -> dict[str, Any]:
        by_key = "api_key_id" in query["group_by[]"]
        results = [
            {
                "uncached_input_tokens": tokens.input
                - tokens.cached_input
                - tokens.cache_write
                - tokens.cache_write_1h,
                "cache_read_input_tokens": tokens.cached_input,
                "cache_creation": {
                    "ephemeral_1h_input_tokens": tokens.cache_write_1h,
                    "ephemeral_5m_input_tokens": tokens.cache_write,
                },
                "output_tokens": tokens.output,
                "server_tool_use": {"web_search_requests": 0},
                "api_key_id": key,
                "workspace_id": None,
                "model": model,
                "service_tier": None,
                "context_window": None,
            }
            for (model, key), (_, tokens) in self._groups(day, query, by_key).items()
        ]
        return {"starting_at": _rfc3339(day), "ending_at": _rfc3339(day + 1), "results": results}

    def _cost_report(self, day: int, query: dict[str, list[str]]) -> dict[str, Any]:
        costs: dict[str, int] = defaultdict(int)
        for call in self._of(day, query):
            costs[call.model] += call.cost_picousd
        results = [
            {**_cost(cost, f"{model} Usage - Output Tokens"), "model": model, "cost_type": "tokens"}
            for model, cost in costs.items()
        ]
        results += [
            {**_cost(cost, name), "model": None, "cost_type": "web_search"}
            for on, name, cost in self.charges
            if on == day
        ]
        return {"starting_at": _rfc3339(day), "ending_at": _rfc3339(day + 1), "results": results}

    # --- both ---

    def _of(self, day: int, query: dict[str, list[str]]) -> Iterator[Call]:
        project = query.get("project_ids", [None])[0]
        return (call for call in self.calls if call.day == day and project in (None, call.project))

    def _groups(
        self, day: int, query: dict[str, list[str]], by_key: bool
    ) -> dict[tuple[str, str | None], tuple[int, Tokens]]:
        groups: dict[tuple[str, str | None], tuple[int, Tokens]] = {}
        for call in self._of(day, query):
            group = (call.model, call.key if by_key else None)
            count, tokens = groups.get(group, (0, Tokens()))
            groups[group] = (count + 1, plus(tokens, call.tokens))
        return groups


def _days(query: dict[str, list[str]]) -> tuple[int, int]:
    """The first and the last day that are asked for."""
    assert query["bucket_width"] == ["1d"] and 1 <= int(query["limit"][0]) <= 31
    if "start_time" in query:
        times = (int(query["start_time"][0]), int(query["end_time"][0]))
    else:
        first, last = query["starting_at"][0], query["ending_at"][0]
        times = (int(datetime.fromisoformat(first).timestamp()), int(datetime.fromisoformat(last).timestamp()))
    assert not any(time % DAY for time in times)
    return times[0] // DAY, times[1] // DAY - 1


def _rfc3339(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cost(cost_picousd: int, description: str) -> dict[str, Any]:
    return {
        "currency": "USD",
        "amount": f"{Decimal(cost_picousd) / 10**10:f}",  # in cents
        "description": description,
        "workspace_id": None,
        "context_window": "0-200k",
        "service_tier": "standard",
    }


@contextmanager
def billing_api() -> Iterator[Provider]:
    """A provider that listens; its `url` is what a configuration has as billing.base_url."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status, body = provider.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
