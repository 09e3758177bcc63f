"""The tables as this release knows them, for building queries. What creates and changes them is `migrations.py`.

Money is in pico-dollars (1e-12 USD), times are Unix seconds, durations seconds, days the number of UTC days since
1970. Indexes are few because every one is paid for by every request: `sequence` pages the ledger, the unique `id`
makes writing twice harmless, and (day, tenant) serves retention, usage of everybody and usage of one tenant.

The last attempt is told by its request's own row when both say the same, which is nearly always; what is left goes
into `other_attempts`. The view `attempts` has every attempt as a row of its own.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, MetaData, SmallInteger, Table, Text

from headgate.cache_types import Hit

metadata = MetaData()

requests = Table(
    "requests",
    metadata,
    Column("sequence", BigInteger, primary_key=True),  # order of arrival in the ledger
    Column("id", Text, nullable=False, unique=True),
    Column("day", Integer, nullable=False),  # of started_at
    Column("started_at", Double, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("user_name", Text),  # `user` is a reserved word
    Column("key_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("stream", SmallInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("session", Text),
    Column("prompt_version", Text),
    Column("tags", Text, nullable=False),  # JSON array of strings
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("counted", Text, nullable=False),
    Column("cost_picousd", BigInteger, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("ttft_seconds", Double),
    Column("itl_seconds", Double),
    Column("e2e_seconds", Double, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("undelivered", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),  # number of the attempt that this row tells too; 0: none
    Column("attempt_started_at", Double, nullable=False),
    Column("attempt_seconds", Double, nullable=False),
    Column("attempt_status", Integer, nullable=False),  # the provider's
    Column("endpoint", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("upstream_id", Text, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),  # part of the input: written to a cache for five minutes
    Column("cache_write_1h_tokens", BigInteger, nullable=False),  # likewise, for an hour
    Column("usage_raw", Text, nullable=False),  # the provider's usage object when it says more than our columns
    Column("routed", Text, nullable=False),  # JSON: how a router chose the model; empty: none did
    Column("hit", Text, nullable=False),  # how it was answered without a provider; empty: it was not
    Column("saved_picousd", BigInteger, nullable=False),  # what its answer would have cost
)

other_attempts = Table(
    "other_attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("upstream_id", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("counted", Text, nullable=False),
    Column("cost_picousd", BigInteger, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("usage_raw", Text, nullable=False),
)

daily_totals = Table(
    "daily_totals",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("user_name", Text, primary_key=True),  # empty: none
    Column("key_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_picousd", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    *[Column(f"saved_{hit}_picousd", BigInteger, nullable=False) for hit in Hit],
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("user_name", Text),
    Column("name", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("source", Text, nullable=False),
    Column("follows_tenant", SmallInteger, nullable=False),  # 1: `tier` was its tenant's and changes with it
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("alert", Text, nullable=False),  # JSON
    Column("deliveries", Text, nullable=False),  # JSON array, one for each channel
    Column("claimed_until", Double),  # by whoever delivers it; NULL when nothing is pending
)

changes = Table(
    "changes",
    metadata,
    Column("target", Text, primary_key=True),  # everybody, tier or tenant
    Column("name", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    Column("at", Double, nullable=False),
    Column("by_whom", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("at", Double, nullable=False),
    Column("by_whom", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON
    Column("subject", Text, nullable=False),
    Column("value_before", Text, nullable=False),  # JSON; empty: does not apply
    Column("value_after", Text, nullable=False),
    Column("request_id", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    # keys_version and changes_version: change with every change of a key, or of a setting
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("booking", Text, nullable=False),  # its rows add up to zero
    Column("run", Text, nullable=False),  # id of a reconciliation
    Column("booked_at", Double, nullable=False),
    Column("provider", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False),  # empty where bills do not tell keys
    Column("cause", Text, nullable=False),
    Column("account", Text, nullable=False),  # provider:NAME, unattributed or tenant:NAME
    Column("amount_picousd", BigInteger, nullable=False),  # above zero: the account has to pay more
    Column("words", Text, nullable=False),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("run_at", Double, nullable=False),
    Column("provider", Text, nullable=False),
    Column("report", Text, nullable=False),  # JSON
)

judgements = Table(
    "judgements",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False, unique=True),  # of the request that was judged
    Column("at", Double, nullable=False),
    Column("week", Integer, nullable=False),  # its Monday as a day since 1970
    Column("router", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("weak", Text, nullable=False),
    Column("strong", Text, nullable=False),
    Column("outcome", Text, nullable=False),  # of the weak model: win, tie or lose
    Column("source", Text, nullable=False),
    Column("judge", Text, nullable=False),
    Column("cost_picousd", BigInteger, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("gate", Integer, nullable=False),  # number of the router's gate at the time
)

router_gates = Table(
    "router_gates",
    metadata,
    Column("router", Text, primary_key=True),
    Column("number", Integer, nullable=False),  # of changes
    Column("closed", SmallInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("reason", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("token", BigInteger, nullable=False),  # grows with every new holder
    Column("until_at", Double, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),  # digests as hexadecimal text
    Column("content", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("owner", Text, nullable=False),  # empty: finished
    Column("alive_until", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("result", LargeBinary),  # MessagePack
)

migrations = Table(
    "migrations",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column(
        "compatible_since", Integer, nullable=False
    ),  # the oldest version of headgate's schema that may go on working
)
