"""What the admin API needs of the process it runs in. Made in `app.py`; must not know how any of it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from headgate.admin.settings import Settings
from headgate.cache_types import CacheActivity, CacheScope
from headgate.config.load import Loaded
from headgate.gateway.accounts import Accounts
from headgate.gateway.admission import Admissions
from headgate.gateway.appealing import Appeals, Handle
from headgate.gateway.choosing import Choosing
from headgate.gateway.fleet import Setup
from headgate.gateway.http.cors import Cors
from headgate.jobs.batches import BatchDesk
from headgate.jobs.desk import JobDesk
from headgate.jobs.document_desk import DocumentDesk
from headgate.ports import AlertLog, CacheStore, Clock, Counters, Ledger
from headgate.reconciling.desk import Reconciler
from headgate.route_ports import RouteRecords
from headgate.types import Frozen


class Running(msgspec.Struct, frozen=True):
    """What the process runs on right now; a reload replaces it as a whole. `loaded_at` is Unix seconds."""

    loaded: Loaded
    setup: Setup
    loaded_at: float


class Readiness(Frozen, frozen=True):
    """Whether this process may take traffic, and what was found of each thing that was looked at."""

    ready: bool
    checks: Mapping[str, str]


class Services(msgspec.Struct, frozen=True):
    """Everything the admin API may use.

    `reload` reads the configuration again, in every worker, and returns sentences that say what changed; it raises
    ConfigInvalid and then nothing has changed. `metrics` is the exposition for Prometheus, over all workers, and its
    content type.
    """

    clock: Clock
    accounts: Accounts
    ledger: Ledger
    alert_log: AlertLog
    reconciler: Reconciler
    settings: Settings
    admissions: Admissions
    counters: Counters
    cache: CacheStore
    flush: Callable[[CacheScope], Awaitable[int]]  # drops answers, and what is known of their questions
    cache_activity: Callable[[], Awaitable[CacheActivity]]  # of all workers
    job_desk: JobDesk
    batches: BatchDesk
    document_desk: DocumentDesk
    choosing: Choosing
    routes: RouteRecords
    appeals: Appeals
    handle: Handle  # takes a call through the corridor
    admin_key_hash: str  # SHA-256, hex
    running: Callable[[], Running]
    readiness: Callable[[], Readiness]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    reload: Callable[[], Awaitable[Sequence[str]]]
    cors: Callable[[], Cors | None] = lambda: None  # which web pages may read what is under /v1/
