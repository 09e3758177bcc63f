"""How the tables come to be: an ordered list of additive steps, each applied once, by whichever process comes first.

Two releases run side by side on one database: the newer one applies its steps under a lock, and the older one goes
on, because a step only adds (columns with defaults, tables, indexes) and every release names the columns it writes. A
step that an older release could not live with says so in `compatible_since`, and the older release then refuses to
start with a clear sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, func, insert, inspect, select

from headgate.errors import IncompatibleDatabase
from headgate.stores import (
    file_tables,
    gate_tables,
    jobs_tables,
    locks,
    outbox_tables,
    provider_batch_tables,
    purse_tables,
    queue_tables,
)
from headgate.stores.schema import migrations


class Migration(msgspec.Struct, frozen=True):
    """One step. `statements` are per SQLAlchemy dialect name; the version is the position in the list, from 1."""

    name: str
    statements: Mapping[str, Sequence[str]]
    compatible_since: int = 1


def _every_attempt(*added: str) -> str:
    """The query of the view `attempts`; `added` are columns that both tables have and that came later."""
    more = "".join(f", {column}" for column in added)
    return f"""SELECT
            id AS request_id, attempt AS number, id || '.' || attempt AS id, attempt_started_at AS started_at,
            deployment, provider, endpoint, upstream_model, key_fingerprint, outcome, attempt_status AS status, error,
            upstream_id, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, counted, cost_picousd,
            price_version, attempt_seconds AS seconds{more} FROM requests WHERE attempt > 0
            UNION ALL SELECT request_id, number, id, started_at, deployment, provider, endpoint, upstream_model,
            key_fingerprint, outcome, status, error, upstream_id, input_tokens, cached_input_tokens, output_tokens,
            reasoning_tokens, counted, cost_picousd, price_version, seconds{more} FROM other_attempts"""


def _first(sequence: str, attempts_end: str) -> tuple[str, ...]:
    """The first tables; dialects differ in how rows are numbered and how `other_attempts` is stored."""
    tokens = (
        "input_tokens BIGINT NOT NULL, cached_input_tokens BIGINT NOT NULL, "
        "output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL"
    )
    return (
        f"""CREATE TABLE requests (
            sequence {sequence}, id TEXT NOT NULL UNIQUE, day INTEGER NOT NULL, started_at DOUBLE PRECISION NOT NULL,
            tenant TEXT NOT NULL, user_name TEXT, key_id TEXT NOT NULL, route TEXT NOT NULL, dialect TEXT NOT NULL,
            model TEXT NOT NULL, stream SMALLINT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, error TEXT
            NOT NULL, deployment TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL, session TEXT,
            prompt_version TEXT, tags TEXT NOT NULL, {tokens}, counted TEXT NOT NULL, cost_picousd BIGINT NOT NULL,
            price_version TEXT NOT NULL, config_hash TEXT NOT NULL, ttft_seconds DOUBLE PRECISION, itl_seconds DOUBLE
            PRECISION, e2e_seconds DOUBLE PRECISION NOT NULL, bytes_in BIGINT NOT NULL, bytes_out BIGINT NOT NULL,
            trace_id TEXT NOT NULL, undelivered SMALLINT NOT NULL, attempt INTEGER NOT NULL, attempt_started_at DOUBLE
            PRECISION NOT NULL, attempt_seconds DOUBLE PRECISION NOT NULL, attempt_status INTEGER NOT NULL,
            endpoint TEXT NOT NULL, key_fingerprint TEXT NOT NULL, upstream_id TEXT NOT NULL)""",
        "CREATE INDEX requests_day_tenant ON requests (day, tenant)",
        f"""CREATE TABLE other_attempts (
            request_id TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL,
            deployment TEXT NOT NULL, provider TEXT NOT NULL, endpoint TEXT NOT NULL, upstream_model TEXT NOT NULL,
            key_fingerprint TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL,
            upstream_id TEXT NOT NULL, {tokens}, counted TEXT NOT NULL, cost_picousd BIGINT NOT NULL, price_version
            TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL, PRIMARY KEY (request_id, number)){attempts_end}""",
        f"CREATE VIEW attempts AS {_every_attempt()}",
        f"""CREATE TABLE daily_totals (
            day INTEGER NOT NULL, tenant TEXT NOT NULL, user_name TEXT NOT NULL, key_id TEXT NOT NULL,
            model TEXT NOT NULL, outcome TEXT NOT NULL, requests BIGINT NOT NULL, {tokens},
            cost_picousd BIGINT NOT NULL, PRIMARY KEY (day, tenant, user_name, key_id, model, outcome))""",
        """CREATE TABLE keys (
            id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL UNIQUE, hint TEXT NOT NULL, tenant TEXT NOT NULL,
            tier TEXT NOT NULL, user_name TEXT, name TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION, revoked_at DOUBLE PRECISION, source TEXT NOT NULL)""",
        "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
        "INSERT INTO counters (name, value) VALUES ('keys_version', 0)",
    )


_CACHE_WRITES = (
    *(
        f"ALTER TABLE {table} ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0"
        for table in ("requests", "other_attempts", "daily_totals")
        for column in ("cache_write_tokens", "cache_write_1h_tokens")
    ),
    "ALTER TABLE requests ADD COLUMN usage_raw TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE other_attempts ADD COLUMN usage_raw TEXT NOT NULL DEFAULT ''",
)
_ATTEMPTS_WITH_CACHE_WRITES = _every_attempt("cache_write_tokens", "cache_write_1h_tokens", "usage_raw")

_ALERTS = (
    """CREATE TABLE alerts (
        key TEXT NOT NULL PRIMARY KEY, at DOUBLE PRECISION NOT NULL, alert TEXT NOT NULL, deliveries TEXT NOT NULL,
        claimed_until DOUBLE PRECISION)""",
    "CREATE INDEX alerts_at ON alerts (at)",
)


def _bills(sequence: str) -> tuple[str, ...]:
    """What is booked beside the ledger when a provider's bill says otherwise, and who does that."""
    return (
        f"""CREATE TABLE adjustments (
            sequence {sequence}, id TEXT NOT NULL UNIQUE, booking TEXT NOT NULL, run TEXT NOT NULL, booked_at DOUBLE
            PRECISION NOT NULL, provider TEXT NOT NULL, day INTEGER NOT NULL, upstream_model TEXT NOT NULL,
            key_fingerprint TEXT NOT NULL, cause TEXT NOT NULL, account TEXT NOT NULL, amount_picousd BIGINT NOT NULL,
            words TEXT NOT NULL)""",
        "CREATE INDEX adjustments_provider_day ON adjustments (provider, day)",
        f"""CREATE TABLE reconciliations (
            sequence {sequence}, id TEXT NOT NULL UNIQUE, run_at DOUBLE PRECISION NOT NULL, provider TEXT NOT NULL,
            report TEXT NOT NULL)""",
        """CREATE TABLE leases (
            name TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, token BIGINT NOT NULL, until_at DOUBLE PRECISION NOT
            NULL)""",
    )


def _changes(sequence: str) -> tuple[str, ...]:
    return (
        """CREATE TABLE changes (
            target TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL, at DOUBLE PRECISION NOT
            NULL, by_whom TEXT NOT NULL, PRIMARY KEY (target, name, path))""",
        f"""CREATE TABLE audit (
            sequence {sequence}, id TEXT NOT NULL UNIQUE, at DOUBLE PRECISION NOT NULL, by_whom TEXT NOT NULL, command
            TEXT NOT NULL, fields TEXT NOT NULL, subject TEXT NOT NULL, value_before TEXT NOT NULL, value_after TEXT
            NOT NULL, request_id TEXT NOT NULL)""",
        "INSERT INTO counters (name, value) VALUES ('changes_version', 0)",
        "ALTER TABLE keys ADD COLUMN follows_tenant SMALLINT NOT NULL DEFAULT 0",
    )


def _judgements(sequence: str) -> tuple[str, ...]:
    """How well routers chose, and which of them were closed for it."""
    return (
        f"""CREATE TABLE judgements (
            sequence {sequence}, id TEXT NOT NULL UNIQUE, at DOUBLE PRECISION NOT NULL, week INTEGER NOT NULL, router
            TEXT NOT NULL, tenant TEXT NOT NULL, weak TEXT NOT NULL, strong TEXT NOT NULL, outcome TEXT NOT NULL, source
            TEXT NOT NULL, judge TEXT NOT NULL, cost_picousd BIGINT NOT NULL, prompt TEXT NOT NULL, gate INTEGER NOT
            NULL)""",
        """CREATE TABLE router_gates (
            router TEXT NOT NULL PRIMARY KEY, number INTEGER NOT NULL, closed SMALLINT NOT NULL, at DOUBLE PRECISION NOT
            NULL, reason TEXT NOT NULL)""",
    )


_SAVED = (
    "ALTER TABLE requests ADD COLUMN hit TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE requests ADD COLUMN saved_picousd BIGINT NOT NULL DEFAULT 0",
    *(
        f"ALTER TABLE daily_totals ADD COLUMN saved_{hit}_picousd BIGINT NOT NULL DEFAULT 0"
        for hit in ("exact", "semantic", "coalesced", "idempotent")
    ),
)
_ROUTED = ("ALTER TABLE requests ADD COLUMN routed TEXT NOT NULL DEFAULT ''",)


def _idempotency(binary: str) -> tuple[str, ...]:
    return (
        f"""CREATE TABLE idempotency_keys (
            key TEXT NOT NULL PRIMARY KEY, content TEXT NOT NULL, request_id TEXT NOT NULL, owner TEXT NOT NULL,
            alive_until DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL, result {binary})""",
        "CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at)",
        "CREATE INDEX idempotency_keys_owner ON idempotency_keys (owner) WHERE owner <> ''",
    )


# AUTOINCREMENT: a number is never given twice, not even after retention has deleted the newest row.
_SEQUENCES = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
}

STEPS: tuple[Migration, ...] = (
    Migration(
        name="ledger and keys",
        statements={
            "sqlite": _first(_SEQUENCES["sqlite"], " WITHOUT ROWID"),
            "postgresql": _first(_SEQUENCES["postgresql"], ""),
        },
    ),
    Migration(
        name="cache writes and usage as reported",
        statements={
            "sqlite": (*_CACHE_WRITES, "DROP VIEW attempts", f"CREATE VIEW attempts AS {_ATTEMPTS_WITH_CACHE_WRITES}"),
            # Views that others made of it stay.
            "postgresql": (*_CACHE_WRITES, f"CREATE OR REPLACE VIEW attempts AS {_ATTEMPTS_WITH_CACHE_WRITES}"),
        },
    ),
    Migration(name="alerts", statements={"sqlite": _ALERTS, "postgresql": _ALERTS}),
    Migration(
        name="adjustments, reconciliations and leases",
        statements={dialect: _bills(sequence) for dialect, sequence in _SEQUENCES.items()},
    ),
    Migration(
        name="changes at run time and their trail",
        statements={dialect: _changes(sequence) for dialect, sequence in _SEQUENCES.items()},
    ),
    Migration(name="how routers chose", statements={"sqlite": _ROUTED, "postgresql": _ROUTED}),
    Migration(
        name="idempotency keys",
        statements={"sqlite": _idempotency("BLOB"), "postgresql": _idempotency("BYTEA")},
    ),
    Migration(name="jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.CREATE)),
    Migration(
        name="judgements of routers",
        statements={dialect: _judgements(sequence) for dialect, sequence in _SEQUENCES.items()},
    ),
    Migration(name="trees of jobs and their checkpoints", statements=dict.fromkeys(_SEQUENCES, jobs_tables.TREES)),
    Migration(
        name="deliveries",
        statements={"sqlite": outbox_tables.create("BLOB"), "postgresql": outbox_tables.create("BYTEA")},
    ),
    Migration(
        name="queues and dead letters",
        statements={
            dialect: queue_tables.create(sequence, {"sqlite": "BLOB", "postgresql": "BYTEA"}[dialect])
            for dialect, sequence in _SEQUENCES.items()
        },
    ),
    Migration(name="duplicates of jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.DUPLICATES)),
    Migration(name="refusals of items", statements=dict.fromkeys(_SEQUENCES, jobs_tables.REFUSALS)),
    Migration(
        name="files and batches",
        statements={"sqlite": file_tables.create("BLOB"), "postgresql": file_tables.create("BYTEA")},
    ),
    Migration(name="dead letters of jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.DEAD)),
    Migration(name="what answers without a provider saved", statements=dict.fromkeys(_SEQUENCES, _SAVED)),
    Migration(name="off-peak windows of jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.OFF_PEAK)),
    Migration(name="sizes of jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.SIZES)),
    Migration(name="batches at providers", statements=dict.fromkeys(_SEQUENCES, provider_batch_tables.CREATE)),
    Migration(name="what gates tell each other", statements=dict.fromkeys(_SEQUENCES, gate_tables.CREATE)),
    Migration(name="what jobs may cost", statements=dict.fromkeys(_SEQUENCES, purse_tables.CREATE)),
    Migration(name="what jobs cost so far", statements=dict.fromkeys(_SEQUENCES, jobs_tables.COSTS)),
    Migration(name="where jobs are looked for", statements=dict.fromkeys(_SEQUENCES, jobs_tables.INDEXES)),
    Migration(name="jobs of all kinds by age", statements=dict.fromkeys(_SEQUENCES, jobs_tables.IN_ORDER)),
    Migration(name="files of batches at providers", statements=dict.fromkeys(_SEQUENCES, provider_batch_tables.FILES)),
    Migration(name="dead letters of jobs by age", statements=dict.fromkeys(_SEQUENCES, jobs_tables.DIED)),
    Migration(name="jobs that wait for portions", statements=dict.fromkeys(_SEQUENCES, jobs_tables.FED)),
    Migration(name="provisional costs of jobs", statements=dict.fromkeys(_SEQUENCES, jobs_tables.PROVISIONAL)),
    Migration(name="what waits for workers", statements=dict.fromkeys(_SEQUENCES, jobs_tables.BACKLOG)),
    Migration(name="items of jobs by state", statements=dict.fromkeys(_SEQUENCES, jobs_tables.BY_STATE)),
    Migration(name="jobs that are being erased", statements=dict.fromkeys(_SEQUENCES, jobs_tables.ERASING)),
)


def migrate(connection: Connection, steps: Sequence[Migration] = STEPS) -> None:
    """Bring the database to this release's version, inside a transaction that may write.

    Any number of processes may do this at once. Raises IncompatibleDatabase when a newer release has made a change
    that this one cannot live with.
    """
    locks.hold(connection, locks.MIGRATIONS)
    if not inspect(connection).has_table(migrations.name):
        migrations.create(connection)
    version, compatible_since = connection.execute(
        select(
            func.coalesce(func.max(migrations.c.version), 0), func.coalesce(func.max(migrations.c.compatible_since), 0)
        )
    ).one()
    if compatible_since > len(steps):
        raise IncompatibleDatabase(
            f"The database has schema version {version}, which needs a release that knows at least {compatible_since}; "
            f"this one knows {len(steps)}. Upgrade headgate, or restore the backup from before the newer release."
        )
    for number, step in enumerate(steps[version:], start=version + 1):
        for statement in step.statements[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        connection.execute(
            insert(migrations).values(version=number, name=step.name, compatible_since=step.compatible_since)
        )
