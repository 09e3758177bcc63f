"""The admin API over a real database and a real configuration, asked in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from headgate.admin.admin_key import admin_key
from headgate.admin.routes import build_asgi
from headgate.admin.services import Readiness, Running, Services
from headgate.admin.settings import Settings
from headgate.assembly import bookkeeping, parts
from headgate.assembly.delivering import Deliveries
from headgate.assembly.filing import Filing
from headgate.assembly.parts import Assembly
from headgate.assembly.working import quota_of
from headgate.cache_types import CacheActivity
from headgate.clock import SystemClock
from headgate.config.effective import Effective
from headgate.config.load import parse
from headgate.config.rules import tier_rules
from headgate.difficulty.loading import load_difficulty
from headgate.gateway.accounts import Accounts
from headgate.gateway.admission import Admissions
from headgate.gateway.answers import Answer
from headgate.gateway.appealing import Appeals
from headgate.gateway.choosing import Choosing
from headgate.gateway.scoring import ModelScorer
from headgate.gateway.waiting import WaitingRoom
from headgate.job_types import JobQuota
from headgate.jobs.built_in import built_in_kinds
from headgate.jobs.dead import DeadLetterOffice
from headgate.jobs.desk import JobDesk, Offices
from headgate.jobs.document_desk import DocumentDesk
from headgate.jobs.erasing import Upkeep
from headgate.jobs.kinds import request_kinds
from headgate.jobs.models import Models
from headgate.jobs.outlook import Outlooks
from headgate.stores.database import Database
from headgate.stores.memory_cache import MemoryCache
from headgate.stores.memory_counters import MemoryCounters
from headgate.stores.memory_sessions import MemorySessions
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_alerts import SqlAlertLog
from headgate.stores.sql_changes import SqlChanges
from headgate.stores.sql_dead_items import SqlDeadItems
from headgate.stores.sql_dead_letters import SqlDeadLetters
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_keys import SqlKeyStore
from headgate.stores.sql_prospects import SqlProspects
from headgate.stores.sql_purses import SqlPurses
from headgate.stores.sql_reports import SqlReports
from headgate.stores.sql_routes import SqlRouteRecords
from headgate.stores.sql_work import SqlWork
from headgate.types import AttemptRecord, Call, Caller, Counted, Outcome, RequestRecord, Rule, Usage
from tests.stores.tables import with_tables

ADMIN = {"authorization": "Bearer hg-admin-for-tests"}
ALICE = {"authorization": "Bearer hg-acme-alice-0001"}
CAROL = {"authorization": "Bearer hg-hobby-carol-0003"}
STARTED_AT = 1_790_000_000.0

CONFIG = b"""
providers:
  sim: {kind: sim}
models:
  small: {price: {input: 0.15, output: 0.60}, deployments: [{provider: sim, model: sim-small}]}
  house/large: {price: free, deployments: [{provider: sim, model: sim-large, name: big}]}
routers:
  auto: {from: [small, house/large]}
tiers:
  free: {models: [small]}
  pro: {models: ["*"]}
tenants:
  acme: {tier: pro, keys: [{key: hg-acme-alice-0001, user: alice}]}
  hobby: {tier: free, keys: [{key: hg-hobby-carol-0003}]}
"""


class Office:
    """What a test may look at and turn: the services behind the API, and a client."""

    def __init__(self, data_dir: Path, config: bytes) -> None:
        self.clock = SystemClock()
        self.database = Database("sqlite", with_tables(data_dir))
        self.ledger = SqlLedger(self.database)
        self.jobs = SqlJobs(self.database, self.clock)
        self.work = SqlWork(self.database, self.clock)
        self.dead_items = SqlDeadItems(self.database, self.clock)
        self.dead_letters = SqlDeadLetters(self.database, self.clock)
        self.alert_log = SqlAlertLog(self.database)
        self.accounts = Accounts(SqlKeyStore(self.database), self.clock)
        self.readiness = Readiness(True, {"database": "ok"})
        self.reload: Callable[[], Awaitable[list[str]]] = self._reload
        self.reloads = 0
        loaded = parse(config, "headgate.yaml", {})
        setup = Assembly(self.clock, {}).setup(loaded.config, loaded.hash, None)
        self.running = Running(loaded, setup, STARTED_AT)
        self.deliveries = Deliveries(self.database, self.jobs, self.clock, lambda: self.running.loaded.config)
        parts.configure(self.accounts, loaded.config)
        self.books = bookkeeping.open_bookkeeping(self.database, self.clock, lambda: self.running.loaded.config, {})
        self.settings = Settings(SqlChanges(self.database), loaded.config, self._apply)
        self.counters = MemoryCounters(self.clock)
        scorer = ModelScorer(lambda path: load_difficulty(path or None), lambda: None)
        self.choosing = Choosing(self.clock, scorer, MemorySessions(self.clock.monotonic))
        self.routes = SqlRouteRecords(self.database)
        self.cache = MemoryCache(self.clock.now, max_entries=10, max_bytes=100_000, max_entry_bytes=10_000)
        room = WaitingRoom(self.clock, lambda: 10)
        self.admissions = Admissions(self.counters, self.ledger, self.clock, room, self._rules_of)
        self.filing = Filing(self.database, self.jobs, self.clock, lambda: self.running.loaded.config, lambda: None)
        services = Services(
            clock=self.clock,
            accounts=self.accounts,
            ledger=self.ledger,
            alert_log=self.alert_log,
            reconciler=self.books.reconciler,
            settings=self.settings,
            admissions=self.admissions,
            counters=self.counters,
            cache=self.cache,
            flush=self.cache.flush,
            cache_activity=self._cache_activity,
            job_desk=self._desk(),
            batches=self.filing.batches,
            document_desk=self._document_desk(),
            choosing=self.choosing,
            routes=self.routes,
            appeals=Appeals(self.clock),
            handle=_nobody_handles,
            admin_key_hash=admin_key(data_dir, "hg-admin-for-tests").hash,
            running=lambda: self.running,
            readiness=lambda: self.readiness,
            metrics=self._metrics,
            reload=lambda: self.reload(),
        )
        transport = httpx.ASGITransport(build_asgi(services), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    def _document_desk(self) -> DocumentDesk:
        models = Models(lambda: self.running.setup)
        purses, reports = SqlPurses(self.database, self.clock), SqlReports(self.database)
        return DocumentDesk(self.jobs, purses, reports, models, self.clock, lambda: None)

    async def get(self, url: str, headers: dict[str, str] = ADMIN, **parameters: object) -> httpx.Response:
        return await self.client.get(url, headers=headers, params=parameters or None)

    async def post(self, url: str, body: object = None, headers: dict[str, str] = ADMIN) -> httpx.Response:
        content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.client.post(url, headers=headers, content=content)

    def _desk(self) -> JobDesk:
        dead = DeadLetterOffice(self.dead_items, self.dead_letters)
        outlooks = Outlooks(SqlProspects(self.database), self.clock)
        upkeep = Upkeep(self.jobs, SqlJobUpkeep(self.database, self.clock), self.clock, self._quota_of)
        offices = Offices(self.deliveries.desk, dead, outlooks, upkeep, self.filing.documents)
        models = Models(lambda: self.running.setup)
        kinds = request_kinds(self._is_model) | built_in_kinds(models, self.filing.documents)
        return JobDesk(self.jobs, offices, self.clock, kinds, lambda: None)

    def _is_model(self, name: str) -> bool:
        return name in self.running.setup.models

    def _quota_of(self, caller: Caller) -> JobQuota:
        return quota_of(self.running.loaded.config, caller)

    def _rules_of(self, tenant: str) -> list[Rule]:
        config = self.settings.in_force.config
        return [rule for tier in config.tiers.values() for rule in tier_rules(tier, config.tenants.get(tenant))]

    def _apply(self, effective: Effective) -> None:
        parts.configure(self.accounts, effective.config)
        setup = parts.with_limits(self.running.setup, effective.config)
        self.running = msgspec.structs.replace(self.running, setup=setup)

    async def _metrics(self) -> tuple[bytes, str]:
        return b"headgate_requests_total 1\n", "text/plain; version=0.0.4; charset=utf-8"

    async def _cache_activity(self) -> CacheActivity:
        return CacheActivity({"exact": 3, "coalesced": 1, "idempotent": 7}, 4, 2, {"sampled": 2}, 82_000_000)

    async def _reload(self) -> list[str]:
        self.reloads += 1
        return []


def _nobody_handles(caller: Caller, call: Call) -> AbstractAsyncContextManager[Answer]:
    raise AssertionError("nothing is served here")


@asynccontextmanager
async def office(data_dir: Path, config: bytes = CONFIG) -> AsyncIterator[Office]:
    made = Office(data_dir, config)
    await made.database.prepare()
    await made.settings.refresh()
    await made.accounts.refresh()
    try:
        yield made
    finally:
        await made.client.aclose()
        await made.database.aclose()


def in_office(data_dir: Path, scenario: Callable[[Office], Coroutine[Any, Any, None]], config: bytes = CONFIG) -> None:
    """Run a scenario against the admin API."""

    async def run() -> None:
        async with office(data_dir, config) as made:
            await scenario(made)

    asyncio.run(run())


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of a response that must be one, in OpenAI's shape."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    return dict(error)


def ledger_row(number: int, *, tenant: str = "acme", cost_picousd: int = 82_000_000, **fields: Any) -> RequestRecord:
    """A request of the ledger with one attempt; number n was made n seconds after the first."""
    usage = Usage(input=100, cached_input=20, output=50, reasoning=5, counted=Counted.REPORTED)
    attempt = AttemptRecord(
        id=f"att_{number}", request_id=f"req_{number}", number=1, started_at=STARTED_AT + number, outcome=Outcome.DONE,
        status=200, deployment="sim/sim-small", provider="sim", endpoint="sim:", upstream_model="sim-small",
        key_fingerprint="", usage=usage, cost_picousd=cost_picousd, price_version="config", seconds=0.5,
    )  # fmt: skip
    made = RequestRecord(
        id=f"req_{number}", started_at=STARTED_AT + number, tenant=tenant, user=None, key_id="key_1",
        route="chat/completions", dialect="openai", model="small", stream=False, outcome=Outcome.DONE, status=200,
        usage=usage, cost_picousd=cost_picousd, attempts=(attempt,),
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)
