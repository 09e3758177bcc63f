"""The composition root of providers' batch APIs: picks the stores and the adapter of each kind of provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from headgate.config.batch_schema import BatchConfig
from headgate.config.schema import Config, ProviderConfig
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.fleet import Deployment
from headgate.job_types import NewJob
from headgate.jobs.batch_means import BATCHED, CourierMeans, may_be_batched
from headgate.jobs.courier import Courier
from headgate.policy.batching import BatchRules
from headgate.ports import Clock
from headgate.provider_batch_ports import BatchApi
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.proxy import proxy_settings
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_leases import SqlLeases
from headgate.stores.sql_provider_batches import SqlProviderBatches
from headgate.stores.sql_work import SqlWork
from headgate.types import Frozen, RequestRecord


class Outside(Frozen, frozen=True):
    """What a courier is given by its process."""

    config: Callable[[], Config]
    environment: Mapping[str, str]
    booked: Callable[[Sequence[RequestRecord]], None]


def open_courier(
    database: Database, gate: BackgroundGate, accounts: Accounts, clock: Clock, outside: Outside
) -> Courier:
    """Of one process; in which of them it works is settled by a lease."""
    means = CourierMeans(
        batches=SqlProviderBatches(database, clock),
        work=SqlWork(database, clock),
        ledger=SqlLedger(database),
        leases=SqlLeases(database, clock),
        accounts=accounts,
        gate=gate,
        clock=clock,
        rules=partial(_rules, outside.config),
        api=partial(_api, outside),
        booked=outside.booked,
    )
    return Courier(clock.new_id("courier"), means)


def is_undecided(job: NewJob, config: Config, now: float) -> bool:
    """Whether a job may go to its provider's batch API: then no worker begins it before that is decided. Of a job that
    gets its items later, any model may be the one."""
    rules = {name: _of(config, name) for name, model in config.models.items() if model.batch.use != "never"}
    return bool(rules) and job.kind in BATCHED and may_be_batched(job, rules, now)


def _rules(config: Callable[[], Config], model: str) -> BatchRules:
    return _of(config(), model)


def _of(config: Config, model: str) -> BatchRules:
    found = config.models.get(model)
    return msgspec.convert(msgspec.structs.asdict(BatchConfig() if found is None else found.batch), BatchRules)


def _api(outside: Outside, deployment: Deployment, key_fingerprint: str) -> BatchApi:
    """What only some gateways have is imported when it is used."""
    from headgate.providers.batches.opening import open_api

    provider = outside.config().providers[deployment.spec.provider]
    key = deployment.keys.named(key_fingerprint)
    return open_api(deployment.spec.endpoints[0], provider, key, _connector(provider, outside.environment))


def _connector(provider: ProviderConfig, environment: Mapping[str, str]) -> Connector:
    return Connector(
        ConnectSettings(
            connect_seconds=provider.connect_seconds,
            ca_file=provider.ca_file,
            verify_tls=provider.verify_tls,
            proxy=proxy_settings(provider.proxy, environment),
        )
    )
