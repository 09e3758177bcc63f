"""Journal, ledger and key store in memory: for simulations and tests, without threads or files.

The journal hands its rows to the ledger at once, so there is nothing to drain. What is kept is bounded by `max_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.cache_types import Hit
from headgate.errors import Conflict, InvalidRequest, LedgerFull, NotFound
from headgate.metering import UnderWay
from headgate.policy.metered import session_name, who
from headgate.stores.groups import LIVE_GROUPS, SECONDS_PER_DAY, WHO, check_group, day_of, group_name
from headgate.stores.rows import Rows, records_of
from headgate.types import KeyRecord, Outcome, RequestRecord, UsageRow

Group = tuple[int, str, str, str, str]  # day, tenant, user, key, model


class MemoryLedger:
    """The port `Ledger` in memory."""

    def __init__(self, max_rows: int = 1_000_000) -> None:
        self.max_rows = max_rows
        self._rows: dict[int, RequestRecord] = {}  # by sequence, oldest first
        self._sequences: dict[str, int] = {}
        self._folded: dict[Group, UsageRow] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, record: RequestRecord) -> None:
        """Without waiting; a record whose id is there already is left as it is."""
        if record.id not in self._sequences:
            self._last += 1
            self._sequences[record.id] = self._last
            self._rows[self._last] = record

    def mark_undelivered(self, request_id: str) -> None:
        sequence = self._sequences.get(request_id)
        if sequence is not None:
            self._rows[sequence] = msgspec.structs.replace(self._rows[sequence], undelivered=True)

    async def write(self, records: Sequence[RequestRecord], undelivered: Sequence[str] = ()) -> None:
        for record in records:
            self.add(record)
        for request_id in undelivered:
            self.mark_undelivered(request_id)

    async def store(self, rows: Rows) -> None:
        """As `write`, for rows as the journal has them."""
        await self.write(records_of(rows), rows.undelivered)

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those that have a row."""
        return self._sequences.keys() & ids

    def find(self, request_id: str) -> RequestRecord | None:
        """A request's row."""
        return self._rows.get(self._sequences.get(request_id, 0))

    async def page(self, limit: int, after: str | None = None) -> tuple[list[RequestRecord], str | None]:
        try:
            position = int(after) if after is not None else 0
        except ValueError:
            raise InvalidRequest("`after` is not a cursor that this ledger gave out.", param="after") from None
        sequences = [sequence for sequence in self._rows if sequence > position]
        page = sequences[: max(1, limit)]
        return [self._rows[sequence] for sequence in page], str(page[-1]) if len(page) < len(sequences) else None

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
        return self._usage(by, (since, until), {"tenant": tenant, "user_name": user, "key_id": key_id})

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        return self._usage(by, (since, until), {"tenant": tenant}, frozenset(without))

    def _usage(
        self,
        by: str,
        between: tuple[float | None, float | None],
        wanted: dict[str, str | None],
        without: frozenset[str] = frozenset(),
    ) -> list[UsageRow]:
        since, until = between
        check_group(by)
        first, last = since if since is not None else float("-inf"), until if until is not None else float("inf")
        sources = [
            (_group(record), _usage_row(record), record.started_at, _live_name(record, by))
            for record in self._rows.values()
            if record.id not in without
        ]
        if by not in LIVE_GROUPS:
            sources += [(group, row, float(group[0] * SECONDS_PER_DAY), "") for group, row in self._folded.items()]
        totals: dict[str, UsageRow] = {}
        for group, row, time, live_name in sources:
            names: dict[str, str | int] = dict(
                zip(("day", "tenant", "user_name", "key_id", "model"), group, strict=True)
            )
            if first <= time < last and all(value in (None, names[name]) for name, value in wanted.items()):
                name = live_name if by in LIVE_GROUPS else _name(group, by)
                totals[name] = _add(totals.get(name), row, name)
        return [totals[name] for name in sorted(totals)]

    async def compact(self, before: float) -> int:
        old = [sequence for sequence, record in self._rows.items() if day_of(record.started_at) < day_of(before)]
        for sequence in old:
            record = self._rows.pop(sequence)
            del self._sequences[record.id]
            group = _group(record)
            self._folded[group] = _add(self._folded.get(group), _usage_row(record), "")
        return len(old)


class MemoryJournal:
    """The port `Journal` on a `MemoryLedger`, and bounded by its `max_rows`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._reserved_rows = ledger.max_rows // 4  # for requests that are already admitted when the room runs out
        self.under_way: dict[int, UnderWay] = {}  # by slot
        self._last_slot = 0

    def append(self, record: RequestRecord) -> None:
        if len(self._ledger) >= self._ledger.max_rows:
            raise LedgerFull("The ledger in memory has no room left.")
        self._ledger.add(record)

    def append_all(self, records: Sequence[RequestRecord]) -> None:
        if len(self._ledger) + len(records) > self._ledger.max_rows:
            raise LedgerFull("The ledger in memory has no room left.")
        for record in records:
            self.append(record)

    def mark_undelivered(self, request_id: str) -> None:
        self._ledger.mark_undelivered(request_id)

    def room(self) -> bool:
        return len(self._ledger) + self._reserved_rows < self._ledger.max_rows

    def begin(self, under_way: UnderWay) -> int:
        self._last_slot += 1
        self.under_way[self._last_slot] = under_way
        return self._last_slot

    def end(self, slot: int) -> None:
        self.under_way.pop(slot, None)

    def failed(self, slot: int) -> None:
        self.end(slot)  # nobody but the ledger hears of what a process in memory leaves


class MemoryKeyStore:
    """The port `KeyStore` in memory."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyRecord] = {}
        self._version = 0

    async def version(self) -> int:
        return self._version

    async def all(self) -> list[KeyRecord]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    async def add(self, key: KeyRecord) -> None:
        if key.id in self._keys or any(key.hash == other.hash for other in self._keys.values()):
            raise Conflict("A key with this id or this value exists already.")
        self._put(key)

    async def revoke(self, key_id: str, at: float) -> KeyRecord:
        key = self._get(key_id)
        return key if key.revoked_at is not None else self._put(msgspec.structs.replace(key, revoked_at=at))

    async def expire(self, key_id: str, at: float | None) -> KeyRecord:
        return self._put(msgspec.structs.replace(self._get(key_id), expires_at=at))

    def _get(self, key_id: str) -> KeyRecord:
        try:
            return self._keys[key_id]
        except KeyError:
            raise NotFound(f"There is no key with the id {key_id!r}.", param="key_id") from None

    def _put(self, key: KeyRecord) -> KeyRecord:
        self._keys[key.id] = key
        self._version += 1
        return key


def _live_name(record: RequestRecord, by: str) -> str:
    if by == "session" and record.session is not None:
        return session_name(who(record.user, record.key_id), record.session)
    return msgspec.json.encode(record.tags).decode() if by == "tags" else ""


def _name(group: Group, by: str) -> str:
    day, tenant, user, key_id, model = group
    names: dict[str, str | int] = {"day": day, "tenant": tenant, "user": user, "key": key_id, "model": model}
    return who(user, key_id) if by == WHO else group_name(names[by])


def _group(record: RequestRecord) -> Group:
    return (day_of(record.started_at), record.tenant, record.user or "", record.key_id, record.model)


def _usage_row(record: RequestRecord) -> UsageRow:
    usage = record.usage
    failed, refused = record.outcome is Outcome.FAILED, record.outcome is Outcome.REFUSED
    tokens = (usage.input, usage.cached_input, usage.output, usage.reasoning)
    written = (usage.cache_write, usage.cache_write_1h)
    if record.outcome is Outcome.DUPLICATE:
        return UsageRow("", 1, 0, 0, 0, 0, 0, 0, 0, duplicate_picousd=record.cost_picousd)
    saved = [record.saved_picousd if record.hit == hit else 0 for hit in Hit]
    return UsageRow("", 1, int(failed), int(refused), *tokens, record.cost_picousd, *written, 0, *saved)


def _add(total: UsageRow | None, row: UsageRow, group: str) -> UsageRow:
    if total is None:
        return msgspec.structs.replace(row, group=group)
    numbers = zip(msgspec.structs.astuple(total)[1:], msgspec.structs.astuple(row)[1:], strict=True)
    return UsageRow(group, *(a + b for a, b in numbers))
