"""The tables of jobs: for building queries, and the statements that create them.

`ready` is 1 while an item could be claimed now, so that one index has just those, in the order of their turn. The items
of a tenant take their turns one after the other from where the work now is, so that a tenant with few items does not
wait for all of one with many (start-time fair queuing: Goyal, Vin, Cheng, SIGCOMM 1996). The counts of a job's row are
those of its items, changed in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, SmallInteger, Table, Text

from headgate.stores.owned import ONE
from headgate.stores.schema import metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("user_name", Text),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("paused", SmallInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("idempotency_key", Text),
    Column("digest", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("start_at", Double, nullable=False),
    Column("deadline_at", Double),
    Column("finished_at", Double),
    Column("error_code", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("retrying", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("dead", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("parent_id", Text, nullable=False, server_default=""),  # empty: a root
    Column("parent_number", Integer, nullable=False, server_default="0"),
    Column("root_id", Text, nullable=False, server_default=""),
    Column("told_when", SmallInteger, nullable=False, server_default="0"),  # 1: at the end, 2: of every change
    Column("request_bytes", BigInteger, nullable=False, server_default="0"),  # of all of its items
    Column("result_bytes", BigInteger, nullable=False, server_default="0"),
    Column("sealed", SmallInteger, nullable=False, server_default="1"),
    Column("hours", Text, nullable=False, server_default=""),  # of an off-peak window; empty: any
    Column("timezone", Text, nullable=False, server_default=""),
    Column("closed", SmallInteger, nullable=False, server_default="0"),  # 1: out of its window
    Column("edge_at", Double, nullable=False, server_default="0"),  # when the window opens or closes next
    Column("execution", Text, nullable=False, server_default=""),  # live or batch; empty: not decided yet
    Column("execution_reason", Text, nullable=False, server_default=""),
    Column("origin", Text, nullable=False, server_default=""),  # where in which queue it was taken from
    Column("fed_at", Double, nullable=False, server_default="0"),  # when its caller's last portion came; 0: none does
    Column("erasing", SmallInteger, nullable=False, server_default="0"),  # 1: a part of it is gone, the rest is going
    info={ONE: "job"},
)

job_items = Table(
    "job_items",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("ready", SmallInteger, nullable=False),
    Column("held", SmallInteger, nullable=False),  # why not: PAUSED, OUT_OF_HOURS and FOR_BATCH, added up
    Column("rank", Integer, nullable=False),  # the negative priority: lower goes first
    Column("turn", BigInteger, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("deadline_at", Double),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("lost_to", Text, nullable=False),  # JSON array: the workers that were lost with it
    Column("worker", Text, nullable=False),  # who has it, or had it last
    Column("token", BigInteger, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("request", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("finished_at", Double),
    Column("label", Text, nullable=False, server_default=""),
    Column("refusal", Text, nullable=False, server_default=""),  # JSON, or empty
    Column("request_bytes", Integer, nullable=False, server_default="0"),
)

job_attempts = Table(
    "job_attempts",
    metadata,
    Column("request_id", Text, primary_key=True),  # of the ledger's row, if it comes to one
    Column("job_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("worker", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("fate", Text, nullable=False, server_default=""),  # one of those below; empty: nothing is special about it
    Column("summed", SmallInteger, nullable=False, server_default="0"),  # 1: its row's cost is in `job_costs`
)
ATTEMPT_COLUMNS = tuple(column.name for column in job_attempts.columns if column.name != "fate")  # when it begins
# A worker, or a batch at a provider, takes an item.
TAKE = (
    "UPDATE job_items SET state = 'leased', ready = 0, worker = :worker, token = token + 1, lease_until = :until, "
    "attempts = attempts + 1 WHERE job_id = :job_id AND number = :number"
)
SUMMED = 1  # of every attempt but those of releases that wrote no `job_costs`
KEPT = "kept"  # what came of it is kept with a step
LOST = "lost"  # with its worker
DUPLICATE = "duplicate"  # lost, and repeated
BOOKED = "booked"  # the ledger's row says so

job_checkpoints = Table(
    "job_checkpoints",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("result", Text, nullable=False),
    Column("at", Double, nullable=False),
)

job_costs = Table(
    "job_costs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("charged_picousd", BigInteger, nullable=False),  # of all rows of its attempts, without those of its children
    Column("duplicate_picousd", BigInteger, nullable=False),  # of those that are duplicates, which are not in the other
)

job_turns = Table(
    "job_turns",
    metadata,
    Column("tenant", Text, primary_key=True),  # empty: the turn that was claimed last
    Column("turn", BigInteger, nullable=False),
)

PAUSED, OUT_OF_HOURS, FOR_BATCH = 1, 2, 4

# Conditions as the partial indexes below have them: with parameters in the place of the values none would be used.
IS_READY = "job_items.ready = 1"
IS_RESTING = "job_items.ready = 0 AND job_items.held = 0 AND job_items.state IN ('queued', 'retrying')"
IS_LEASED = "job_items.state = 'leased'"
IS_DEAD = "job_items.state = 'dead'"
IS_LISTED = "job_items.state NOT IN ('queued', 'leased')"
IS_OPEN = "job_items.state IN ('queued', 'retrying', 'leased')"
IS_DUPLICATE = "job_attempts.fate = 'duplicate'"
IS_REPEATED = "job_attempts.fate IN ('lost', 'duplicate')"
IS_NOT_SUMMED = "job_attempts.summed = 0"
IS_CHILD = "jobs.parent_id <> ''"
IS_FROM_A_QUEUE = "jobs.origin <> ''"
HAS_DEAD = "jobs.dead > 0"
IS_FED = "jobs.sealed = 0 AND jobs.fed_at > 0"
IS_ERASING = "jobs.erasing = 1"
HAS_WINDOW = "jobs.hours <> '' AND jobs.finished_at IS NULL"
_OPEN = "state IN ('queued', 'retrying')"
CREATE = (
    """CREATE TABLE jobs (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, user_name TEXT, kind TEXT NOT NULL,
        state TEXT NOT NULL, paused SMALLINT NOT NULL, priority INTEGER NOT NULL, idempotency_key TEXT, digest TEXT NOT
        NULL, created_at DOUBLE PRECISION NOT NULL, start_at DOUBLE PRECISION NOT NULL, deadline_at DOUBLE PRECISION,
        finished_at DOUBLE PRECISION, error_code TEXT NOT NULL, error TEXT NOT NULL, version BIGINT NOT NULL, queued
        BIGINT NOT NULL, leased BIGINT NOT NULL, retrying BIGINT NOT NULL, succeeded BIGINT NOT NULL, failed BIGINT NOT
        NULL, dead BIGINT NOT NULL, cancelled BIGINT NOT NULL, expired BIGINT NOT NULL)""",
    "CREATE UNIQUE INDEX jobs_idempotency ON jobs (tenant, idempotency_key)",
    """CREATE TABLE job_items (
        job_id TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, ready SMALLINT NOT NULL, held SMALLINT NOT
        NULL, rank INTEGER NOT NULL, turn BIGINT NOT NULL, next_at DOUBLE PRECISION NOT NULL, deadline_at DOUBLE
        PRECISION, attempts INTEGER NOT NULL, retries INTEGER NOT NULL, lost_to TEXT NOT NULL, worker TEXT NOT NULL,
        token BIGINT NOT NULL, lease_until DOUBLE PRECISION NOT NULL, request TEXT NOT NULL, result TEXT NOT NULL,
        error_code TEXT NOT NULL, error TEXT NOT NULL, finished_at DOUBLE PRECISION, PRIMARY KEY (job_id, number))""",
    "CREATE INDEX job_items_ready ON job_items (rank, turn) WHERE ready = 1",
    f"CREATE INDEX job_items_due ON job_items (next_at) WHERE ready = 0 AND held = 0 AND {_OPEN}",
    "CREATE INDEX job_items_leased ON job_items (lease_until) WHERE state = 'leased'",
    """CREATE INDEX job_items_deadline ON job_items (deadline_at)
        WHERE deadline_at IS NOT NULL AND state IN ('queued', 'retrying', 'leased')""",
    """CREATE TABLE job_attempts (
        request_id TEXT NOT NULL PRIMARY KEY, job_id TEXT NOT NULL, number INTEGER NOT NULL, token BIGINT NOT NULL,
        worker TEXT NOT NULL, started_at DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX job_attempts_job ON job_attempts (job_id)",
    "CREATE TABLE job_turns (tenant TEXT NOT NULL PRIMARY KEY, turn BIGINT NOT NULL)",
    "INSERT INTO job_turns (tenant, turn) VALUES ('', 0)",
)

TREES = (
    "ALTER TABLE jobs ADD COLUMN parent_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN parent_number INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN root_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN sealed SMALLINT NOT NULL DEFAULT 1",
    "UPDATE jobs SET root_id = id",
    "CREATE INDEX jobs_root ON jobs (root_id)",
    "CREATE INDEX jobs_parent ON jobs (parent_id, parent_number) WHERE parent_id <> ''",
    "ALTER TABLE job_items ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE job_checkpoints (
        job_id TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, result TEXT NOT NULL, at DOUBLE PRECISION NOT
        NULL, PRIMARY KEY (job_id, number, name))""",
)

DUPLICATES = (
    "ALTER TABLE job_attempts ADD COLUMN fate TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX job_attempts_item ON job_attempts (job_id, number)",
    "DROP INDEX job_attempts_job",
    "CREATE INDEX job_attempts_duplicates ON job_attempts (started_at) WHERE fate = 'duplicate'",
)

REFUSALS = ("ALTER TABLE job_items ADD COLUMN refusal TEXT NOT NULL DEFAULT ''",)
DEAD = ("CREATE INDEX job_items_dead ON job_items (job_id, number) WHERE state = 'dead'",)
# Rows of calls that nobody knows the end of, and attempts that are or become duplicates when their items are done.
PROVISIONAL = (
    "CREATE INDEX requests_provisional ON requests (id) WHERE outcome = 'provisional'",
    "CREATE INDEX job_attempts_repeated ON job_attempts (job_id) WHERE fate IN ('lost', 'duplicate')",
)
FED = (
    "ALTER TABLE jobs ADD COLUMN fed_at DOUBLE PRECISION NOT NULL DEFAULT 0",
    "UPDATE jobs SET fed_at = (SELECT max(created_at) FROM jobs) WHERE sealed = 0 AND parent_id = ''",
    "CREATE INDEX jobs_fed ON jobs (fed_at) WHERE sealed = 0 AND fed_at > 0",
)
DIED = ("CREATE INDEX job_items_died ON job_items (finished_at, job_id, number) WHERE state = 'dead'",)
BACKLOG = (
    "CREATE INDEX job_items_waited ON job_items (next_at) WHERE ready = 1",
    "CREATE INDEX jobs_dead ON jobs (dead) WHERE dead > 0",
)
# Without the states that every item goes through on its way: each would have to be entered and taken out again.
BY_STATE = (
    "CREATE INDEX job_items_state ON job_items (job_id, state, number) WHERE state NOT IN ('queued', 'leased')",
)
ERASING = (
    "ALTER TABLE jobs ADD COLUMN erasing SMALLINT NOT NULL DEFAULT 0",
    "CREATE INDEX jobs_erasing ON jobs (id) WHERE erasing = 1",
)

OFF_PEAK = (
    "ALTER TABLE jobs ADD COLUMN hours TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN timezone TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN closed SMALLINT NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN edge_at DOUBLE PRECISION NOT NULL DEFAULT 0",
    "CREATE INDEX jobs_edge ON jobs (edge_at) WHERE hours <> '' AND finished_at IS NULL",
)

INDEXES = (
    "CREATE INDEX jobs_tenant ON jobs (tenant, id)",
    "CREATE INDEX jobs_finished ON jobs (finished_at)",
    "CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead'",
)

MAX_NUMBER = 2**31 - 1  # of an item, as PostgreSQL has its column
MADE = "substr(id, length(id) - 25)"  # what an id ends with, whatever its kind; it grows with time
IN_ORDER = (f"CREATE INDEX jobs_made ON jobs (tenant, {MADE})",)

SIZES = (
    "ALTER TABLE job_items ADD COLUMN request_bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN request_bytes BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN result_bytes BIGINT NOT NULL DEFAULT 0",
)

COSTS = (
    """CREATE TABLE job_costs (
        job_id TEXT NOT NULL PRIMARY KEY, charged_picousd BIGINT NOT NULL, duplicate_picousd BIGINT NOT NULL)""",
    "ALTER TABLE job_attempts ADD COLUMN summed SMALLINT NOT NULL DEFAULT 0",
    "CREATE INDEX job_attempts_not_summed ON job_attempts (job_id) WHERE summed = 0",
)
