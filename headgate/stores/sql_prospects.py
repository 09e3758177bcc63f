"""How far jobs are, in SQL: what forecasts are made from, and the place in the queue.

How long that takes must not grow with the items of a job. So of many a sample is looked at, each by its number
(`policy/sampling.py`), and the queue is followed only so far.

Among items that were begun lately, those that are done already are the short and cheap ones. So of a small job only
those count that were begun before all that are under way: they are done whether they are short or long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, literal, or_, select, text

from headgate.job_types import Group, ItemState, Prospects, Sampled, Step
from headgate.policy.jobs import OPEN
from headgate.policy.sampling import Place, Probes, Stretch, narrowed, spread, stride
from headgate.stores.database import Database
from headgate.stores.jobs_tables import IS_LEASED, IS_OPEN, IS_READY, job_attempts, job_checkpoints, job_items, jobs
from headgate.types import Frozen, Outcome

SAMPLED = 4000  # items that are done, and as many that are not
PROBED = 500  # items that tell where those are
FARTHEST = 10_000  # items ahead in the queue that are counted
NEAR = 100  # of them, those that are looked at first
_ANSWERED = (ItemState.SUCCEEDED.value, ItemState.FAILED.value, ItemState.DEAD.value)
_OPEN = tuple(state.value for state in OPEN)
_LAST_STEPS = 20  # of jobs with no more items than that
_PLACES = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS job_id, json_extract(value, '$[1]') AS number "
    "FROM json_each(:places)",
    "postgresql": "SELECT value ->> 0 AS job_id, CAST(value ->> 1 AS INTEGER) AS number "
    "FROM json_array_elements(CAST(:places AS json)) AS each(value)",
}
# The order of the tables is named: SQLite would go through all rows of another one.
_AT_PLACES = (
    "FROM ({places}) AS place CROSS JOIN job_items {more} "
    "WHERE job_items.job_id = place.job_id AND job_items.number = place.number AND "
)
_ANY_STATE = "SELECT job_items.job_id, job_items.number, job_items.state, job_items.ready " + _AT_PLACES + "1 = 1"
_ANSWERED_ONES = (
    "SELECT job_items.job_id, job_items.number, job_items.request_bytes, job_items.finished_at, "
    "sum(requests.cost_picousd) AS cost, min(job_attempts.started_at) AS began_at "
    + _AT_PLACES.replace("{more}", "CROSS JOIN job_attempts CROSS JOIN requests")
    + "job_items.state IN ('succeeded', 'failed', 'dead') AND job_attempts.job_id = job_items.job_id "
    "AND job_attempts.number = job_items.number AND requests.id = job_attempts.request_id "
    f"AND requests.outcome <> '{Outcome.DUPLICATE}' GROUP BY 1, 2, 3, 4"
)
_OPEN_ONES = f"SELECT job_items.request_bytes {_AT_PLACES} {IS_OPEN}"


class _Leaf(Frozen, frozen=True, gc=False):
    """A job of a tree that has none below it: how many of its items are not over, were answered, and are in all."""

    id: str
    kind: str
    open: int
    answered: int
    total: int
    request_bytes: int

    @property
    def whole(self) -> Stretch:
        return Stretch(self.id, 1, self.total)


class _Found(Frozen, frozen=True):
    """What was found of one kind: of every `stride`th item."""

    rows: list[Row[Any]]
    stride: int


class SqlProspects:
    """The port `JobProspects` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self, job_id: str) -> int:
        query = select(func.coalesce(func.sum(jobs.c.version), 0)).where(
            or_(jobs.c.id == job_id, jobs.c.root_id == job_id)
        )
        return await self._database.run(
            self._database.reading, lambda connection: int(connection.execute(query).scalar_one())
        )

    async def of(self, job_id: str) -> Prospects:
        def work(connection: Connection) -> Prospects:
            leaves = _leaves(connection, job_id)
            probed = _probed(connection, leaves)
            kinds = sorted({leaf.kind for leaf in leaves})
            found = {kind: _sample(connection, leaves, probed, kind) for kind in kinds}
            widest = max((each.stride for each in found.values()), default=1)
            done = sum(leaf.answered for leaf in leaves)
            widest = max(widest, stride(done, done, SAMPLED))
            began = _oldest_under_way(connection, leaves) if widest == 1 else None
            groups = (_group(connection, leaves, probed, kind, found[kind]) for kind in kinds)
            return Prospects(
                tuple(_settled(group, found[kind].rows, began) for kind, group in zip(kinds, groups, strict=True)),
                _ends(found.values(), widest),
                widest,
                _steps(connection, job_id),
                _ahead(connection, job_id, any(row.ready for row in probed)),
            )

        return await self._database.run(self._database.reading, work)


def _leaves(connection: Connection, job_id: str) -> list[_Leaf]:
    """The jobs of a tree, without those whose items only wait for others."""
    parents = select(jobs.c.parent_id).where(jobs.c.root_id == job_id, jobs.c.parent_id != "")
    open_ = jobs.c.queued + jobs.c.leased + jobs.c.retrying
    answered = jobs.c.succeeded + jobs.c.failed + jobs.c.dead
    total = open_ + answered + jobs.c.cancelled + jobs.c.expired
    query = select(jobs.c.id, jobs.c.kind, open_, answered, total, jobs.c.request_bytes)
    its = (jobs.c.root_id == job_id, jobs.c.id.not_in(parents))
    return [_Leaf(*row) for row in connection.execute(query.where(*its).order_by(jobs.c.id))]


def _probed(connection: Connection, leaves: Sequence[_Leaf]) -> list[Row[Any]]:
    """Some items of all jobs, in their order: what they are."""
    step = max(1, -(-sum(leaf.total for leaf in leaves) // PROBED))
    found = _at(connection, spread([leaf.whole for leaf in leaves], step), _ANY_STATE)
    return sorted(found, key=lambda row: (row.job_id, row.number))


def _at(connection: Connection, places: Iterable[Place], query: str) -> list[Row[Any]]:
    """What a query finds of the items at these places."""
    statement = query.format(places=_PLACES[connection.dialect.name], more="")
    named = {"places": msgspec.json.encode(list(places)).decode()}
    return list(connection.execute(text(statement), named).all())


def _where(
    leaves: Iterable[_Leaf], probed: Sequence[Row[Any]], states: Sequence[str], *, at_front: bool
) -> list[Stretch]:
    """Where in these jobs items of some states are; they are at the front of each, or at its end."""
    probes: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for row in probed:
        probes[row.job_id].append((row.number, row.state in states))
    known: Probes = probes
    return [narrowed(leaf.whole, known, at_front=at_front) for leaf in leaves]


def _sample(connection: Connection, leaves: Sequence[_Leaf], probed: Sequence[Row[Any]], kind: str) -> _Found:
    """Items of a kind that are done, with their size and cost: all of a small job, every so many of a large one."""
    done = [leaf for leaf in leaves if leaf.kind == kind and leaf.answered]
    stretches = _where(done, probed, _ANSWERED, at_front=True)
    step = stride(sum(leaf.answered for leaf in done), sum(each.items for each in stretches), SAMPLED)
    return _Found(_at(connection, spread(stretches, step), _ANSWERED_ONES), step)


def _ends(found: Iterable[_Found], widest: int) -> tuple[float, ...]:
    """When items ended, in order, of all kinds every so manieth."""
    ends: list[float] = []
    for each in found:
        its = sorted(row.finished_at for row in each.rows if row.finished_at is not None)
        ends += its[:: widest // each.stride]
    return tuple(sorted(ends))


def _group(
    connection: Connection, leaves: Sequence[_Leaf], probed: Sequence[Row[Any]], kind: str, found: _Found
) -> Group:
    its = [leaf for leaf in leaves if leaf.kind == kind]
    done, rest = sum(leaf.answered for leaf in its), sum(leaf.open for leaf in its)
    sample = tuple(Sampled(row.request_bytes, int(row.cost)) for row in found.rows)
    in_all = sum(leaf.request_bytes for leaf in its)
    if not done or (sample and done <= max(rest, SAMPLED)):
        done_bytes = done * sum(one.size_bytes for one in sample) / max(len(sample), 1)
        rest_bytes = max(0.0, in_all - done_bytes)
    else:
        each = _open_size(connection, its, probed) if rest else None
        rest_bytes = rest * (in_all / sum(leaf.total for leaf in its) if each is None else each)
    mean = sum(one.cost_picousd for one in sample) / len(sample) if sample else 0.0
    return Group(done, rest, round(mean * done), rest_bytes, sample)


def _open_size(connection: Connection, leaves: Sequence[_Leaf], probed: Sequence[Row[Any]]) -> float | None:
    """The mean size of the items that are not over, of a sample; None if none of them was found."""
    left = [leaf for leaf in leaves if leaf.open]
    stretches = _where(left, probed, _OPEN, at_front=False)
    step = stride(sum(leaf.open for leaf in left), sum(each.items for each in stretches), SAMPLED)
    sizes = [row.request_bytes for row in _at(connection, spread(stretches, step), _OPEN_ONES)]
    return sum(sizes) / len(sizes) if sizes else None


def _oldest_under_way(connection: Connection, leaves: Sequence[_Leaf]) -> float | None:
    """When the item was begun that has been under way for longest, of those whose leases end first."""
    ids = [leaf.id for leaf in leaves if leaf.open][:SAMPLED]
    leased = select(job_items.c.job_id, job_items.c.number, job_items.c.token).where(text(IS_LEASED))
    some = leased.order_by(job_items.c.lease_until).limit(SAMPLED).subquery()
    its = (job_attempts.c.job_id == some.c.job_id, job_attempts.c.number == some.c.number)
    query = select(func.min(job_attempts.c.started_at)).where(*its, job_attempts.c.token == some.c.token)
    began: float | None = connection.execute(query.where(some.c.job_id.in_(ids))).scalar_one()
    return began


def _settled(group: Group, rows: list[Any], began: float | None) -> Group:
    """The same, with those begun later among the rest, if that leaves at least half of what is known."""
    known = [row for row in rows if began is not None and row.began_at < began]
    if len(known) == len(rows) or 2 * len(known) < len(rows):
        return group
    sizes, costs = sum(row.request_bytes for row in known), sum(int(row.cost) for row in known)
    done_bytes, done_cost = sum(row.request_bytes for row in rows), sum(int(row.cost) for row in rows)
    later = len(rows) - len(known)
    return Group(
        done=len(known),
        rest=group.rest + later,
        cost_picousd=costs,
        rest_bytes=group.rest_bytes + done_bytes - sizes,
        sample=tuple(Sampled(row.request_bytes, int(row.cost)) for row in known),
        unsettled=later,
        unsettled_picousd=done_cost - costs,
    )


def _steps(connection: Connection, job_id: str) -> tuple[Step, ...]:
    """The newest first; of a job with many items none, as they would say nothing of how far it is."""
    total = sum((jobs.c[state.value] for state in ItemState), start=literal(0))
    few = select(jobs.c.id).where(jobs.c.id == job_id, total <= _LAST_STEPS)
    query = select(job_checkpoints.c.name, job_checkpoints.c.at).where(job_checkpoints.c.job_id.in_(few))
    newest = query.order_by(job_checkpoints.c.at.desc()).limit(_LAST_STEPS)
    return tuple(Step(row.name, row.at) for row in connection.execute(newest))


def _ahead(connection: Connection, job_id: str, is_ready: bool) -> int | None:
    """Items that go before the first one of a job that waits; None if none of it could begin."""
    whole = set(connection.execute(select(jobs.c.id).where(jobs.c.root_id == job_id)).scalars())
    queue = select(job_items.c.job_id).where(text(IS_READY)).order_by(job_items.c.rank, job_items.c.turn)
    for most in (NEAR, FARTHEST):
        for ahead, each in enumerate(connection.execute(queue.limit(most)).scalars()):
            if each in whole:
                return ahead
    return FARTHEST if is_ready else None
