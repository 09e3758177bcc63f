"""The ports: everything headgate needs from the outside world, on one page, but for bills, jobs and routers:
`billing_ports.py`, `job_ports.py` and `route_ports.py`.

Each port has an embedded adapter and may have a distributed one; every adapter passes the port's contract suite in
`tests/contract/`. Adapters are picked in `app.py` and nowhere else. `vector_ports.py` goes on with look-ups in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from headgate.alert_types import AlertRecord
from headgate.cache_types import CachedAnswer, CacheScope, CacheSize
from headgate.change_types import AuditEntry, Change, Setting
from headgate.idempotency_types import KeyedRequest, KeyedResult
from headgate.metering import Admission, Ask, Charge, Dated, EmbeddingUse, Meter, Reading, UnderWay
from headgate.types import Call, KeyRecord, Operation, RequestRecord, UsageRow

Take = Callable[[bytes], bool]  # takes a piece, and says whether it would take more now
Used = Callable[[EmbeddingUse], None]
Vector = bytes  # the coordinates of a point as little-endian float32, of length one


class Clock(Protocol):
    """Time, ids and chance. Real in production, replayable in simulation."""

    random: random.Random

    def now(self) -> float:
        """Wall time, Unix seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    def new_id(self, prefix: str) -> str:
        """A unique, roughly time-ordered id such as `req_0198c2...`."""


class UpstreamResponse(Protocol):
    """One HTTP answer of a provider, being read. Reading pauses the sender when nobody reads (backpressure)."""

    status: int
    headers: Mapping[str, str]  # names in lower case

    async def read(self) -> bytes:
        """The next piece of the body as it arrives, b"" at its clean end.

        Raises StreamIncomplete if the connection ends before the HTTP message does. Safe to cancel.
        """

    async def relay(self, take: Take) -> bool:
        """Hand every piece to `take` as it arrives: True at the clean end, False as soon as `take` returns False.

        What comes after that waits for the next call. Raises as `read` does. Safe to cancel.
        """

    def close(self) -> None:
        """Give the connection back if the message has ended, else abort it at once. Never blocks, may be repeated."""


class Provider(Protocol):
    """The adapter for one upstream API: how to ask it. What it answers is read in `wire/`."""

    name: str  # as in the configuration
    kind: str  # openai, anthropic, sim, ...

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        """Send one request and return when status and headers are there.

        Raises UpstreamUnreachable, ConnectTimeout, UpstreamBusy or StreamIncomplete. Cancelling it closes the socket.
        """

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""


class Counters(Protocol):
    """Limits and budgets of all tenants, and the holds of requests under way. Times are the store's own clock's.

    A hold that nobody keeps or settles for `hold_seconds` expires: it is forgotten if no provider had its request then,
    else it turns into a charge of all that it held, until it is settled after all. Settling twice changes nothing.
    Awaiting costs at most the adapter's time limit; what cannot be reached by then raises StoreUnavailable.
    """

    async def admit(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        """Decide over all meters at once, and hold what the request needs if it is admitted.

        `known` is False, and nothing held, for a tenant whose counters have to be rebuilt from the ledger first.
        """

    async def extend(self, hold_id: str, tenant: str, ask: Ask, output_tokens: int) -> Admission:
        """Hold more money, for another attempt that is dearer. A refusal leaves the hold as it is."""

    def keep(self, hold_id: str, tenant: str, *, dispatched: bool) -> None:
        """The request is still under way; `dispatched`: a provider has it now, so that it may cost something."""

    def settle(self, hold_id: str, tenant: str, charge: Charge) -> None:
        """Replace the hold by what the request came to. Done soon, in the background where the store is far away."""

    async def read(self, tenant: str, meters: Sequence[Meter]) -> list[Reading]:
        """How the meters stand."""

    async def rebuild(
        self, tenant: str, spent: Sequence[tuple[Meter, int]], dated: Sequence[Dated] = (), *, after_loss: bool = False
    ) -> bool:
        """Count at least what the ledger says was used in the windows that are open now; whether the tenant was known
        before, and nothing lost. Holds stay as they are.

        Of a tenant that is known, what is held may be in the ledger already and be settled any moment: what goes beyond
        both is missing. Not so `after_loss`, as what had ended by then is not held, or `spent` leaves out what is.
        `dated` says when, of rolling ones, the latest first; what `spent` has beyond that counts from now.
        """

    async def reset(self, tenant: str, meter: Meter) -> None:
        """Close a velocity that has tripped."""


class Journal(Protocol):
    """Where a settled request is written before its last byte leaves: survives kill -9 of the process.

    A request that is under way is noted here too, so that something is charged for it if its process dies.
    """

    def append(self, record: RequestRecord) -> None:
        """Durable against the process's death on return. Raises LedgerFull when its bounded room is used up."""

    def append_all(self, records: Sequence[RequestRecord]) -> None:
        """As `append` for several: all or none, in one go."""

    def mark_undelivered(self, request_id: str) -> None:
        """Add a note that the client did not take the last write of a request that was recorded as complete."""

    def room(self) -> bool:
        """Whether another record will fit: asked before a request is admitted."""

    def begin(self, under_way: UnderWay) -> int:
        """Note a request before a provider is asked; returns its slot for `end`. For its next attempt: end, begin.

        Durable against the process's death on return. `NO_SLOT` if it could not be noted, which is counted. Never
        raises and never waits.
        """

    def end(self, slot: int) -> None:
        """Forget a request, once `append` has returned: what is not forgotten when the process ends is charged.

        Leave it noted when `append` raised. Ending a slot twice, or `NO_SLOT`, changes nothing.
        """

    def failed(self, slot: int) -> None:
        """Nothing came of the noted attempt: whoever dies before the next owes nothing. `end` is still to come."""


class Ledger(Protocol):
    """The append-only record of requests and attempts, readable by every process. Raises DatabaseUnavailable."""

    async def write(self, records: Sequence[RequestRecord], undelivered: Sequence[str] = ()) -> None:
        """Add records, all or none; a record whose id is there already is left as it is."""

    async def page(self, limit: int, after: str | None = None) -> tuple[list[RequestRecord], str | None]:
        """Rows oldest first, and the cursor of the next page or None."""

    async def usage(
        self,
        by: str,
        *,
        since: float | None = None,
        until: float | None = None,
        tenant: str | None = None,
        user: str | None = None,
        key_id: str | None = None,
    ) -> list[UsageRow]:
        """Totals by `tenant`, `user`, `model`, `key` or `day` (UTC), compacted days included; `since` is inclusive.

        Or by whom budgets count: `who`, and of rows that are not compacted `session` and `tags` (as JSON).
        """

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        """As `usage`, without some requests, at most 10,000."""

    async def compact(self, before: float) -> int:
        """Fold the days before a time into daily totals and delete their rows; returns how many.

        Each transaction folds exactly the rows it deletes, so that sums are right at every moment.
        """


class KeyStore(Protocol):
    """Virtual keys created at run time. Raises DatabaseUnavailable."""

    async def version(self) -> int:
        """A number that changes with every change, cheap enough to ask once a second."""

    async def all(self) -> list[KeyRecord]:
        """Every key, revoked and expired ones too, oldest first."""

    async def add(self, key: KeyRecord) -> None:
        """Raises Conflict if the id or hash exists."""

    async def revoke(self, key_id: str, at: float) -> KeyRecord:
        """Raises NotFound. Revoking twice keeps the first time."""

    async def expire(self, key_id: str, at: float | None) -> KeyRecord:
        """Set or clear the expiry. Raises NotFound."""


class Changes(Protocol):
    """What operators changed at run time, and the trail of all their commands. Raises DatabaseUnavailable."""

    async def version(self) -> int:
        """A number that changes with every change of a setting, cheap enough to ask once a second."""

    async def all(self) -> list[Change]:
        """Every setting that has another value than the file says, the last one changed last."""

    async def put(self, change: Change, entry: AuditEntry, version: int) -> None:
        """Set a setting and enter it into the trail, both or nothing.

        Raises Conflict if the version is another one by now: what led to the change may not be so any more.
        """

    async def remove(self, setting: Setting, entry: AuditEntry, version: int) -> None:
        """Give a setting back to the file. Raises NotFound if it has no value of its own; else as `put`."""

    async def note(self, entry: AuditEntry) -> None:
        """Enter another command into the trail."""

    async def trail(self, limit: int, after: str | None = None) -> tuple[list[AuditEntry], str | None]:
        """The newest commands first, and the cursor of older ones or None."""


class AlertLog(Protocol):
    """Which alerts there were and what became of them, so that each goes out once. Raises DatabaseUnavailable."""

    async def claim(self, record: AlertRecord, until: float) -> bool:
        """Enter an alert: True for exactly one of all that try, in all processes, whose task it is to deliver it.

        The task is given up at `until`, unless `save` extends it.
        """

    async def save(self, record: AlertRecord, until: float) -> None:
        """Keep what became of the deliveries, and the task until a later time if some are pending."""

    async def resume(self, now: float, until: float) -> list[AlertRecord]:
        """Take over what is pending and was given up before `now`; each is given to exactly one of all that ask."""

    async def recent(self, limit: int) -> list[AlertRecord]:
        """The newest alerts first."""

    async def prune(self, before: float) -> int:
        """Forget alerts raised before a time; returns how many. They could be raised again then."""


class CacheStore(Protocol):
    """Answers that may be given again, bounded in number and bytes: what saves least is dropped first.

    A store that is away has nothing and keeps nothing. Looking never raises and costs at most the adapter's time
    limit.
    """

    async def get(self, key: bytes) -> CachedAnswer | None:
        """The answer of that key, if it is kept and has not expired. Being asked for makes it worth keeping."""

    async def get_all(self, keys: Sequence[bytes]) -> list[CachedAnswer | None]:
        """As `get` for several, in the order of the keys, at the price of one."""

    def put(self, answer: CachedAnswer) -> None:
        """Keep an answer, in place of one with the same key. Done soon, in the background where the store is far.

        One that is too large is not kept.
        """

    async def find(self, request_id: str) -> CachedAnswer | None:
        """The answer that a request was given by a provider. Raises StoreUnavailable."""

    async def flush(self, scope: CacheScope) -> int:
        """Drop answers; returns how many. None of them is given any more on return. Raises StoreUnavailable."""

    def size(self) -> CacheSize:
        """How much is kept, as far as is known."""

    async def aclose(self) -> None:
        """Close connections. May be repeated."""


class Leads(Protocol):
    """Which process asks a provider, of all that were asked the same. Nothing here raises: if the store is away, every
    process asks for itself.
    """

    async def claim(self, key: bytes, question: bytes) -> str:
        """Empty if this process is to ask, until it releases the key; else the process that asks already, or whatever
        `asks` says no to, if the answer to the question has come to be kept."""

    async def asks(self, process: str, key: bytes) -> bool:
        """Whether that process lives and has not released the key."""

    def release(self, key: bytes) -> None:
        """This process has asked, whatever came of it: what it has put into the store before is there. Nothing happens
        to a key that it has not claimed."""


class IdempotencyStore(Protocol):
    """Requests that were sent with an idempotency key, and what came of them. Raises DatabaseUnavailable.

    Each change names the request that makes it: nothing happens if the key is another request's by now.
    """

    async def claim(self, request: KeyedRequest, now: float) -> KeyedRequest:
        """Take a key that is free, or whose time is over; returns whose it is now. Of many that try, one gets it."""

    async def take_over(self, found: KeyedRequest, request: KeyedRequest) -> bool:
        """Take a key from a request whose process is dead: True for one of all that found it so."""

    async def read(self, key: bytes) -> KeyedRequest | None:
        """Whose a key is."""

    async def finish(self, key: bytes, request_id: str, result: KeyedResult) -> bool:
        """Keep what came of a request; False if the key is not its own any more."""

    async def release(self, key: bytes, request_id: str) -> None:
        """Forget a request that came to nothing, as if it had not been sent."""

    async def keep_alive(self, owner: str, until: float) -> None:
        """All requests of a process that are under way are so still."""

    async def prune(self, now: float) -> int:
        """Drop keys whose time is over; returns how many."""


class TokenCounter(Protocol):
    """Counts tokens when a provider reports none."""

    async def count(self, upstream_model: str, texts: Sequence[str]) -> int:
        """Tokens of the texts together. Never raises, and never keeps the event loop for long."""


class Embedder(Protocol):
    """Turns texts into vectors: the closer their meaning, the larger the product of two."""

    name: str  # with `dimensions` what its vectors are comparable by: another name or number is another namespace
    dimensions: int

    async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
        """One vector for each text, the same for the same text. Never keeps the event loop for long.

        What is longer than the model reads is cut. `used` is told of every call that a provider may charge for. Raises
        EmbedderUnavailable; it says what to do.
        """

    async def aclose(self) -> None:
        """Embed nothing any more. May be repeated."""


class Observer(Protocol):
    """Told of every settled request: metrics, the request log, traces."""

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """`itl_counts` are the gaps between content events counted into `types.ITL_BUCKETS_SECONDS`."""


class Witness(Protocol):
    """Told the words of a request, when the operator asked for them."""

    def saw(self, call: Call, answer: str) -> None:
        """`answer` is the generated text of a stream, or the JSON body."""


class Leases(Protocol):
    """Who does what only one process may do at a time. Raises DatabaseUnavailable."""

    async def take(self, name: str, owner: str, seconds: float) -> int | None:
        """Take a lease that is free or has run out, or keep one's own for so long from now; None: another has it.

        One that lasts longer than twice `seconds` was taken before a clock was set back, and counts as run out.
        The number is a fencing token: it grows whenever the holder changes.
        """

    async def release(self, name: str, owner: str) -> None:
        """Give it back; nothing happens if another has it by now."""
