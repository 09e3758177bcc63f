"""What a process knows of questions is bounded, and fairly so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from headgate.gateway import semantic_memory
from headgate.gateway.semantic_memory import Entered, Notes, Scope, SemanticMemory
from headgate.policy.semantic.partition import Settings
from headgate.policy.semantic.sketch import sketch
from headgate.stores.vectors_exact import ExactIndex

SETTINGS = Settings(0.01, 0.02)
VECTOR = np.eye(1, 8, dtype="<f4").tobytes()


def entered(tenant: str, version: int, number: int = 0) -> Entered:
    scope = Scope(tenant, "small", str(version), SETTINGS)
    return Entered(scope, f"{tenant} {version}", f"{tenant} {version} {number}", VECTOR, sketch("a"), 0.0, tenant)


def test_a_tenant_with_many_prompt_versions_takes_no_other_tenants_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_memory, "MOST_SCOPES_OF_A_TENANT", 3)
    memory = SemanticMemory(ExactIndex, 1_000)
    for note in (entered("acme", 1, 0), entered("acme", 1, 1), *(entered("flood", version) for version in range(10))):
        memory.apply(note)
    kept = [(scope.tenant, scope.prompt_version) for scope in memory.switches()]
    assert kept == [("acme", "1"), ("flood", "7"), ("flood", "8"), ("flood", "9")]
    assert len(memory) == 5, "with a scope go its entries"


def test_entries_share_what_they_have_in_common() -> None:
    memory, notes = SemanticMemory(ExactIndex, 1_000), Notes()
    for number in range(3):
        note = msgspec.structs.replace(entered("acme", 1, number), user="alice")
        memory.apply(notes.read(notes.write(note)))
    scopes, tenants, users = (
        {id(part) for part in parts}
        for parts in zip(*((entry.scope, entry.tenant, entry.user) for entry in memory._entries.values()), strict=True)
    )
    assert len(scopes) == len(tenants) == len(users) == 1


def test_beyond_all_bounds_what_was_unused_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_memory, "MOST_SCOPES", 3)
    memory = SemanticMemory(ExactIndex, 1_000)
    for tenant in ("one", "two", "three"):
        memory.apply(entered(tenant, 1))
    asked = entered("one", 1)
    memory.ask(asked.scope, asked.partition, asked.vector, asked.question, 0.5)
    memory.apply(entered("four", 1))
    assert [scope.tenant for scope in memory.switches()] == ["three", "one", "four"]
    assert len(memory) == 3
