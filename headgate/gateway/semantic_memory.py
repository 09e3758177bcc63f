"""What a process knows of the questions whose answers are kept: their vectors, and what the decision remembers.

Everything that changes it is a note. Notes reach all replicas in one order, through the port `EntryLog`, so that they
know the same; a process applies its own ones when they come back.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from headgate.policy.semantic.evidence import Neighbour
from headgate.policy.semantic.partition import NEIGHBOURS, Decision, Partition, Settings, Verified
from headgate.policy.semantic.sketch import Sketch
from headgate.policy.semantic.switch import Switch
from headgate.ports import Vector
from headgate.types import Frozen
from headgate.vector_ports import VectorIndex

MOST_SCOPES = 1_000
MOST_SCOPES_OF_A_TENANT = 200  # who makes up prompt versions takes no other tenant's place
BYTES_OF_A_COORDINATE = 4


class Scope(Frozen, frozen=True, array_like=True):
    """What learns together: the requests of a tenant for a model and prompt version, under one bound.

    Questions are only ever compared within a partition, which is finer: everything of a request but its last message.
    """

    tenant: str  # "" if all tenants share
    model: str  # the public name that is asked for
    prompt_version: str
    settings: Settings


class Entered(Frozen, frozen=True, array_like=True, tag="entered"):
    """An answer is kept. `key` is its key in the cache, in hexadecimal digits, as is `partition`: with the digest of
    what was redacted, if something was."""

    scope: Scope
    partition: str
    key: str
    vector: Vector
    question: Sketch
    nearest: float  # similarity of the nearest entry that was there
    tenant: str = ""  # whose request was answered
    user: str | None = None


class Learned(Frozen, frozen=True, array_like=True, tag="learned"):
    """An answer was compared with a fresh one."""

    scope: Scope
    verified: Verified


class Left(Frozen, frozen=True, array_like=True, tag="left"):
    """An answer is not kept any more."""

    key: str


class Dropped(Frozen, frozen=True, array_like=True, tag="dropped"):
    """Answers were dropped by an operator: those that agree in everything that is given."""

    tenant: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    user: str | None = None


Note = Entered | Learned | Left | Dropped


class Entry(NamedTuple):
    """Where an entry is, and whose."""

    scope: Scope
    partition: str
    tenant: str
    user: str | None

    def is_of(self, dropped: Dropped) -> bool:
        """Whether it is one of those that were dropped."""
        return (
            (dropped.tenant is None or dropped.tenant == self.tenant)
            and (dropped.model is None or dropped.model == self.scope.model)
            and (dropped.prompt_version is None or dropped.prompt_version == self.scope.prompt_version)
            and (dropped.user is None or dropped.user == self.user)
        )


class Asked(Frozen, frozen=True):
    """A question that was looked for."""

    scope: Scope
    partition: str
    text: str
    question: Sketch
    vector: Vector
    decision: Decision
    nearest: float  # similarity of the nearest entry, 0 if there is none


class SemanticMemory:
    """Bounded: beyond `most_entries` the oldest entry is forgotten."""

    def __init__(self, make_index: Callable[[int], VectorIndex], most_entries: int) -> None:
        """`make_index` makes one for vectors of so many dimensions, when the first of them comes."""
        self.most_entries = most_entries
        self._make_index = make_index
        self._index: VectorIndex | None = None
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # by key
        self._scopes: OrderedDict[Scope, Partition] = OrderedDict()  # the longest unused first
        self._shared: dict[Scope, Scope] = {}  # the one object of each: every note brings its own

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """What vectors and index take."""
        return 0 if self._index is None else self._index.size_bytes()

    def switches(self) -> dict[Scope, Switch]:
        """Whether each scope serves, and its live false-hit rate."""
        return {scope: partition.switch for scope, partition in self._scopes.items()}

    def ask(
        self, scope: Scope, partition: str, vector: Vector, question: Sketch, chance: float
    ) -> tuple[Decision, float]:
        """Whether an entry answers the question, and the similarity of the nearest one. `chance`: as for `decide`."""
        learned = self._scopes.get(scope)
        if learned is None or self._index is None:
            return Decision(False, "nothing_near"), 0.0
        self._scopes.move_to_end(scope)
        found = self._index.search(partition, vector, NEIGHBOURS)
        neighbours = [Neighbour(one.key, one.similarity) for one in found]
        return learned.decide(question, neighbours, chance), neighbours[0].similarity if neighbours else 0.0

    def apply(self, note: Note) -> Switch | None:
        """Take in what happened. Returns the switch of a scope if it was turned by that."""
        match note:
            case Entered():
                self._enter(note)
            case Left():
                self._leave(note.key)
            case Dropped():
                for key in [key for key, entry in self._entries.items() if entry.is_of(note)]:
                    self._leave(key)
            case Learned():
                learned = self._scope(note.scope)
                before = learned.switch.on
                learned.learn(note.verified)
                return learned.switch if learned.switch.on is not before else None
        return None

    def _enter(self, note: Entered) -> None:
        self._leave(note.key)
        if self._index is None:
            self._index = self._make_index(len(note.vector) // BYTES_OF_A_COORDINATE)
        self._index.add(note.partition, note.key, note.vector)
        learned, scope = self._scope(note.scope), self._shared[note.scope]
        tenant = scope.tenant if scope.tenant == note.tenant else sys.intern(note.tenant)
        user = None if note.user is None else sys.intern(note.user)
        self._entries[note.key] = Entry(scope, sys.intern(note.partition), tenant, user)
        learned.enter(note.key, note.question, note.nearest)
        while len(self._entries) > self.most_entries:
            self._leave(next(iter(self._entries)))

    def _leave(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if self._index is not None:
            self._index.remove(entry.partition, key)
        learned = self._scopes.get(entry.scope)
        if learned is not None:
            learned.forget(key)

    def _scope(self, scope: Scope) -> Partition:
        learned = self._scopes.get(scope)
        if learned is None:
            learned = self._scopes[scope] = Partition(scope.settings)
            self._shared[scope] = scope
            own = [one for one in self._scopes if one.tenant == scope.tenant]
            if len(own) > MOST_SCOPES_OF_A_TENANT:
                self._forget(own[0])
            elif len(self._scopes) > MOST_SCOPES:
                self._forget(next(iter(self._scopes)))
        return learned

    def _forget(self, scope: Scope) -> None:
        del self._shared[scope]
        for key in self._scopes.pop(scope).entries():
            self._leave(key)


class Notes:
    """Notes as bytes, for the log."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Note] = msgspec.msgpack.Decoder(Note)

    def write(self, note: Note) -> bytes:
        return self._encoder.encode(note)

    def read(self, data: bytes) -> Note:
        """Raises msgspec.MsgspecError for what another release may have written."""
        return self._decoder.decode(data)
