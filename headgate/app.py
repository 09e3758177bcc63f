"""The composition root: picks the adapters, ties them together, starts and stops them. Everything else is handed what
it needs and asks nobody for it."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

import msgspec

from headgate import __version__
from headgate.admin import admin_key
from headgate.admin.asgi import ColdPaths
from headgate.admin.routes import build_asgi, build_metrics_asgi
from headgate.admin.services import Readiness, Running, Services
from headgate.admin.settings import Settings
from headgate.alert_types import StoreFacts
from headgate.alerts.desk import Alerts
from headgate.alerts.watching import full_disk, watch_stores
from headgate.assembly import bookkeeping, parts
from headgate.assembly.batching import Outside, open_courier
from headgate.assembly.caching import Caching
from headgate.assembly.edge import edge_limits
from headgate.assembly.inheriting import Inheritance
from headgate.assembly.instruments import Instruments
from headgate.assembly.parts import Assembly
from headgate.assembly.protection import Protection
from headgate.assembly.routing import Routing
from headgate.assembly.semantics import Semantics, Surroundings
from headgate.assembly.working import Working
from headgate.clock import SystemClock
from headgate.config.effective import Effective
from headgate.config.load import BUILT_IN, Loaded, load
from headgate.config.reloading import changed
from headgate.config.schema import Config
from headgate.errors import DatabaseUnavailable, Draining, HeadgateError, IncompatibleDatabase
from headgate.gateway.accounts import Accounts
from headgate.gateway.fleet import Deployment, Setup
from headgate.gateway.http.exchange import Edge
from headgate.gateway.http.protocol import GatewayProtocol
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.settling import Audience, Settler
from headgate.policy.health import Gate
from headgate.stores.database import Database
from headgate.stores.drain import CaughtUp, Drain
from headgate.stores.journal import open_journal
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_alerts import SqlAlertLog
from headgate.stores.sql_changes import SqlChanges
from headgate.stores.sql_keys import SqlKeyStore
from headgate.stores.sql_routes import SqlRouteRecords
from headgate.telemetry.metrics import LiveGauges
from headgate.tokens.counter import OfflineCounter

_GATE_NUMBERS = {Gate.CLOSED: 0, Gate.HALF_OPEN: 1, Gate.OPEN: 2}
_DATABASE_RETRY_SECONDS = 1.0
_RETIRE_EVERY_SECONDS = 1.0
_COMPACT_EVERY_SECONDS = 3600.0
_SECONDS_PER_DAY = 86_400

SERVED_WITHOUT_DATABASE = "Requests go on, rows wait on disk; who has limits that were not read from it yet is refused."

log = logging.getLogger(__name__)


class Application:
    """One gateway process. Make it inside the event loop; `start`, later `drain`, `interrupt`, `stop`.

    `metrics_directory` is shared by the workers of a service, `reload_others` tells the other workers to reload.
    """

    def __init__(
        self,
        loaded: Loaded,
        environment: Mapping[str, str],
        *,
        metrics_directory: Path | None = None,
        reload_others: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        server = loaded.config.server
        data_dir = Path(server.data_dir)
        data_dir.mkdir(parents=True, exist_ok=True)
        self.clock = SystemClock()
        self._environment, self._reload_others = environment, reload_others
        self._tasks: list[asyncio.Task[None]] = []
        self._database_answered = False
        self._database = Database(loaded.config.database, data_dir, power_safe=server.ledger.sync_seconds > 0)
        self.ledger = SqlLedger(self._database)
        self.accounts = Accounts(SqlKeyStore(self._database), self.clock)
        self._alert_log = SqlAlertLog(self._database)
        self.alerts = Alerts(self._alert_log, self.clock)
        self.alerts.configure(parts.alert_channels(loaded.config, environment))
        self._journal = open_journal(server, self.clock)
        self.ledger_drain = self._make_drain(server.ledger.sync_seconds)
        self._workers = 1 if metrics_directory is None else 2  # or more: they are several
        self.settings = Settings(SqlChanges(self._database), loaded.config, self._apply, self._workers)
        self._assembly = Assembly(self.clock, environment)
        setup = self._assembly.setup(loaded.config, loaded.hash, None)
        parts.configure(self.accounts, loaded.config)
        self._connections: Callable[[], int] = lambda: 0
        self.instruments = Instruments(
            server, self._gauges(), lambda name: self.pipeline.setup.has(name), metrics_directory
        )
        self.metrics = self.instruments.metrics
        self._counter = OfflineCounter()
        self.running = Running(loaded, setup, self.clock.now())
        ledger = CaughtUp(self.ledger, self.ledger_drain)
        self.protection = Protection(self._config, self.clock, ledger, self._counter, self.metrics, self.alerts.raise_)
        self._settler = Settler(self._journal, self._counter, self.clock, self._audience(), lambda: not self._trouble())
        self.caching, self.semantics = self._caches(loaded.config)
        self.routing = Routing(self.clock, self._assembly, self._config, self.caching.sessions)
        self.pipeline = self._make_pipeline(setup)
        self.edge = Edge(self.pipeline, self.accounts, self.clock, self.metrics, edge_limits(server))
        self.gate = self.protection.background_gate(self.pipeline)
        self.working = Working(self._database, self.gate, self.accounts, self.clock, self._config, self.metrics.jobs)
        outside = Outside(self._config, environment, self.protection.booked_late)
        self._courier = open_courier(self._database, self.gate, self.accounts, self.clock, outside)
        self.books = bookkeeping.open_bookkeeping(
            self._database, self.clock, self._config, environment, self.alerts.raise_
        )
        self.services = self._services(admin_key.admin_key(data_dir, environment.get(admin_key.VARIABLE)).hash)
        self.asgi: ColdPaths = build_asgi(self.services)
        self.metrics_asgi: ColdPaths = build_metrics_asgi(self.services)

    # --- life ---

    async def start(self) -> None:
        """Begin the background work. The database may be away: `readiness` says so until it has answered."""
        self.instruments.start()
        self.ledger_drain.start()
        self.alerts.start()
        stores = (self._database_trouble, self.protection.trouble, lambda: full_disk(self._journal.disk_trouble))
        self._run(watch_stores(self.alerts, self.clock, stores))
        more = (self.books.nightly.run_forever, self.working.run_forever, self._courier.run_forever)
        for work in (self._connect, self.instruments.page.publish_forever, self._compact_forever, *more):
            self._run(work())
        self._run(self.caching.look_after())
        self._run(self.protection.admissions.keep_alive(lambda: self.pipeline.under_way))
        self._run(self.routing.shadowing.keep_up(lambda: bool(self.pipeline.setup.routers)))

    async def stop(self) -> None:
        """Settle what is left and close everything. Rows the database does not take wait on disk for the next start."""
        await self.working.drain()
        await self.semantics.aclose()
        await self._settler.finish()
        await self.protection.aclose()
        await self.caching.aclose()
        await self.routing.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.ledger_drain.aclose()
        await self.alerts.aclose()
        self.instruments.rest()
        for deployment in self.pipeline.setup.deployments():
            await deployment.provider.aclose()
        self._journal.close()
        await self._database.aclose()
        await self._counter.aclose()
        await self.instruments.aclose()

    def drain(self) -> None:
        """Take no new requests; those under way go on, but for those that only wait: another process serves them."""
        self.edge.draining = True
        self.working.worker.rest()
        self.protection.room.close(_shutting_down)
        self.edge.batch.flush()  # answers of this round of the loop, whose connections are closed next

    def interrupt(self) -> None:
        """End what is still under way with a typed error."""
        self.pipeline.interrupt(_shutting_down)

    def reload(self) -> tuple[str, ...]:
        """Read the configuration again, without dropping a request. Raises ConfigInvalid and changes nothing then.

        Returns sentences that say what changed.
        """
        source, before = self.running.loaded, self.pipeline.setup
        loaded = load(None if source.source == BUILT_IN else source.source, self._environment, self._workers)
        config = self.settings.configure(loaded.config).config
        self.pipeline.setup = setup = self._assembly.setup(config, loaded.hash, before)
        self.edge.limits = edge_limits(loaded.config.server)
        self._journal.reserve(loaded.config.server.max_in_flight)
        parts.configure(self.accounts, config)
        if loaded.config.alerts != source.config.alerts:
            self.alerts.configure(parts.alert_channels(loaded.config, self._environment))
        self.running = Running(loaded, setup, self.clock.now())
        self.protection.reconfigured()
        self.caching.reconfigured(config)
        self.routing.reconfigured()
        self.semantics.configure(config)
        self._run(self._retire(before))
        changes = changed(source, loaded)
        log.info("configuration %s is in use: %s", loaded.hash, " ".join(changes))
        return changes

    # --- what others ask ---

    def readiness(self) -> Readiness:
        """The database must have answered once, one deployment must be usable, and the disk must take rows.

        A database that goes away later is only reported: it is no better reached from another process.
        """
        usable = any(deployment.usable(self.clock.monotonic()) for deployment in self.pipeline.setup.deployments())
        trouble, store = self._trouble(), self.protection.trouble()
        waiting = "rows wait on disk" if self._journal.room() else "the journal is full"
        checks = {
            "database": f"degraded, {waiting}: {trouble}" if trouble and self._database_answered else trouble or "ok",
            "store": "ok" if store is None else f"degraded: {store.error} {store.effect}",
            "disk": self._journal.disk_trouble or "ok",
            "deployments": "ok" if usable else "none is usable",
            "draining": "yes" if self.edge.draining else "no",
        }
        able = self._database_answered and usable and not self._journal.disk_trouble
        return Readiness(able and not self.edge.draining, checks)

    def protocol(self, count_connections: Callable[[], int]) -> Callable[..., GatewayProtocol]:
        """What uvicorn makes for each connection."""
        self._connections = count_connections
        return functools.partial(GatewayProtocol, self.edge)

    # --- parts ---

    def _make_pipeline(self, setup: Setup) -> Pipeline:
        entrance, looking = self.protection.admissions, (self.caching.cache, self.caching.idempotency)
        pipeline = Pipeline(setup, self.clock, self._settler, entrance, looking, self.routing.choosing)
        pipeline.missing_done = self.metrics.missing_done
        self.routing.attach(pipeline, SqlRouteRecords(self._database), self.metrics.routes, self.alerts.raise_)
        return pipeline

    def _config(self) -> Config:
        return self.settings.in_force.config

    def _audience(self) -> Audience:
        told = self.instruments
        return Audience(told.observers, told.witness, self.protection.admissions.settle)

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work ended with an error: %s", error, exc_info=error)

    def _trouble(self) -> str:
        """Why the database cannot be used, as far as is known; empty when it can."""
        if not self._database_answered:
            return "has not answered yet"
        return self.ledger_drain.last_error or self.accounts.last_error

    def _database_trouble(self) -> StoreFacts | None:
        if not (trouble := self._trouble()):
            return None
        serves = self.running.loaded.config.on_database_failure == "serve"
        effect = SERVED_WITHOUT_DATABASE if serves else "Requests are refused."
        return StoreFacts("database", trouble, effect)

    async def _connect(self) -> None:
        """Until the database has answered, then for ever: keys, and what was changed at run time."""
        while not self._database_answered:
            try:
                await self._database.prepare()
                await self.settings.refresh()
                await self.accounts.refresh()
                self._database_answered = True
            except DatabaseUnavailable as error:
                log.warning("not ready: %s", error.message)
                await asyncio.sleep(_DATABASE_RETRY_SECONDS)
            except IncompatibleDatabase:
                return  # never ready; who started this process asks the database too, and ends it with this error
        await asyncio.gather(self.accounts.keep_fresh(), self.settings.keep_fresh())

    async def _compact_forever(self) -> None:
        while True:
            await asyncio.sleep(_COMPACT_EVERY_SECONDS * (0.5 + self.clock.random.random()))
            days = self.running.loaded.config.server.ledger.retention_days
            try:
                folded = await self.ledger.compact(self.clock.now() - days * _SECONDS_PER_DAY)
            except HeadgateError as error:
                log.warning("the ledger was not compacted: %s", error.message)
            else:
                if folded:
                    log.info("%d rows older than %d days were folded into daily totals", folded, days)

    async def _retire(self, setup: Setup) -> None:
        """Close what only a replaced setup had, once no request runs on it any more."""
        while any(journey.setup.models is setup.models for journey in self.pipeline.under_way):  # noqa: ASYNC110  # once a reload
            await asyncio.sleep(_RETIRE_EVERY_SECONDS)
        kept = {id(deployment) for deployment in self.pipeline.setup.deployments()}
        for deployment in setup.deployments():
            if id(deployment) not in kept:
                await deployment.provider.aclose()

    def _apply(self, effective: Effective) -> None:
        """Put other limits and budgets in force, for all requests from now on."""
        parts.configure(self.accounts, effective.config)
        self.pipeline.setup = setup = parts.with_limits(self.pipeline.setup, effective.config)
        self.running = msgspec.structs.replace(self.running, setup=setup)
        self.protection.reconfigured()

    async def _reload_all(self) -> tuple[str, ...]:
        changes = self.reload()
        if self._reload_others is not None:
            await self._reload_others()
        return changes

    def _make_drain(self, sync_seconds: float) -> Drain:
        heir = Inheritance(lambda: self.protection, lambda: self.instruments.observers)
        return Drain(self._journal, self.ledger, self._database.writing, sync_seconds=sync_seconds, heir=heir)

    def _services(self, admin_key_hash: str) -> Services:
        return Services(
            clock=self.clock,
            accounts=self.accounts,
            ledger=self.ledger,
            settings=self.settings,
            admissions=self.protection.admissions,
            counters=self.protection.counters,
            cache=self.caching.store,
            flush=self.caching.cache.flush,
            cache_activity=lambda: self.caching.activity(self.instruments.page),
            job_desk=self.working.desk,
            batches=self.working.filing.batches,
            document_desk=self.working.documents,
            choosing=self.routing.choosing,
            routes=self.routing.records,
            appeals=self.routing.appeals,
            handle=self.pipeline.handle,
            alert_log=self._alert_log,
            reconciler=self.books.reconciler,
            admin_key_hash=admin_key_hash,
            running=lambda: self.running,
            readiness=self.readiness,
            metrics=self.instruments.page.text,
            reload=self._reload_all,
            cors=lambda: self.edge.limits.cors,
        )

    def _caches(self, config: Config) -> tuple[Caching, Semantics]:
        admissions, database = self.protection.admissions, self._database
        caching = Caching(config, database, self.clock, self._settler, admissions, self.metrics)
        around = Surroundings(
            self.clock, caching, lambda *asked: self.pipeline.handle(*asked), self.alerts.raise_, self._settler.embedded
        )
        semantics = Semantics(around, self._assembly.embedder, self.metrics.semantic)
        semantics.configure(config)
        return caching, semantics

    def _gauges(self) -> LiveGauges:
        return LiveGauges(
            version=__version__,
            in_flight=lambda: self.pipeline.in_flight,
            waiting=lambda: self.protection.room.waiting,
            client_connections=lambda: self._connections(),
            journal_backlog_bytes=lambda: self.ledger_drain.backlog_bytes,
            ledger_healthy=lambda: self.ledger_drain.healthy,
            disk_healthy=lambda: not self._journal.disk_trouble,
            store=lambda: self.protection.store_state(),
            troubles=self._troubles,
            breaker_states=lambda: self._of_deployments(lambda one: _GATE_NUMBERS[one.gate(self.clock.monotonic())]),
            semantic_off=lambda: self.semantics.off(),
            tokens_in_flight=lambda: self._of_deployments(lambda deployment: deployment.tokens_in_flight),
            cache_size=lambda: self.caching.store.size(),
            router_losses=lambda: self.routing.shadowing.figures,
            routers_closed=lambda: self.routing.shadowing.closed,
            backlog=lambda: self.working.backlog,
            background=lambda: self.gate.states(),
            work=lambda: self.working.load,
        )

    def _troubles(self) -> dict[str, int]:
        lost, dropped, unnoted = self.protection.store_failures, self.alerts.dropped, self._journal.unnoted
        return {"store_lost": lost, "alert_dropped": dropped, "request_not_noted": unnoted}

    def _of_deployments(self, read: Callable[[Deployment], int]) -> dict[str, int]:
        return {deployment.spec.name: read(deployment) for deployment in self.pipeline.setup.deployments()}


def _shutting_down() -> Draining:
    return Draining("This process is shutting down. Send the request again.", retry_after_seconds=1)
