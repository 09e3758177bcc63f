"""Imports point one way. What stands here is the architecture; a new edge is a decision, not an accident."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.source import Source, each, port_adapters, sources

VOCABULARY = {
    "types",
    "media",
    "alert_types",
    "bills",
    "cache_types",
    "delivery_types",
    "change_types",
    "idempotency_types",
    "file_errors",
    "file_types",
    "job_types",
    "report_types",
    "judgements",
    "metering",
    "provider_batch_types",
    "route_types",
    "delivery_errors",
    "job_errors",
    "errors",
    "document_errors",
    "idempotency_errors",
    "limit_errors",
    "queue_errors",
    "queue_types",
    "version",
}
PORTS = {
    *VOCABULARY, "billing_ports", "delivery_ports", "file_ports", "job_ports", "ports",
    "provider_batch_ports", "queue_ports", "route_ports", "vector_ports",
}  # fmt: skip
# What hangs off a port may know the dialects, the decisions and the settings it is built from, but no other adapter.
ADAPTER = {*PORTS, "wire", "policy", "config", "writing"}
GATEWAY = {*PORTS, "wire", "policy", "writing"}
ROOTS = {"app", "assembly"}  # where adapters are picked

MAY_IMPORT: dict[str, set[str]] = {
    "version": set(),
    "types": set(),
    "media": {"types"},
    "alert_types": {"types"},
    "cache_types": {"types"},
    "change_types": {"types"},
    "idempotency_types": {"types"},
    "delivery_types": {"types"},
    "file_types": {"types"},
    "file_errors": {"errors"},
    "file_ports": {"file_types"},
    "delivery_ports": {"delivery_types", "types"},
    "report_types": {"types"},
    "job_types": {"types", "delivery_types"},
    "metering": {"types"},
    "provider_batch_types": {"types"},
    "provider_batch_ports": {"provider_batch_types"},
    "route_types": {"types", "judgements"},
    "bills": {"types"},
    "judgements": {"types"},
    "errors": {"types"},
    "queue_types": {"types"},
    "queue_errors": {"errors"},
    "queue_ports": {"queue_types"},
    "queues": {*ADAPTER, "stores"},
    "delivery_errors": {"errors"},
    "job_errors": {"errors"},
    "document_errors": {"errors"},
    "idempotency_errors": {"errors"},
    "limit_errors": {"errors", "metering"},
    "billing_ports": {"bills"},
    "vector_ports": {"cache_types", "ports"},
    "job_ports": {"job_types", "report_types", "types"},
    "route_ports": {"route_types"},
    "ports": {"types", "alert_types", "cache_types", "change_types", "idempotency_types", "metering"},
    "writing": {"types", "errors"},
    "documents": VOCABULARY,
    "policy": VOCABULARY,
    "wire": VOCABULARY,
    "config": VOCABULARY,
    "gateway": GATEWAY,
    "clock": PORTS,
    "providers": ADAPTER,
    "stores": ADAPTER,
    "telemetry": ADAPTER,
    "tokens": ADAPTER,
    "embedding": ADAPTER,
    "difficulty": {*VOCABULARY, "policy"},
    "training": {*VOCABULARY, "policy", "embedding"},
    "evaluating": {*VOCABULARY, "policy", "difficulty", "embedding", "training"},
    "outgoing": {*ADAPTER, "providers", "version"},  # URLs are called with the HTTP client of providers
    "alerts": {*ADAPTER, "providers", "outgoing"},
    "reconciling": {*PORTS, "policy", "wire", "config"},
    "sim": {*GATEWAY, "gateway"},
    "admin": {*GATEWAY, "gateway", "config", "deliveries", "jobs", "reconciling"},
    "jobs": {*GATEWAY, "gateway", "deliveries", "documents"},
    "deliveries": {*GATEWAY, "outgoing"},
    "pipelines": {*PORTS, "jobs"},
    "assembly": {
        *ADAPTER,
        "admin",
        "alerts",
        "clock",
        "deliveries",
        "difficulty",
        "documents",
        "embedding",
        "gateway",
        "jobs",
        "outgoing",
        "pipelines",
        "providers",
        "queues",
        "reconciling",
        "stores",
        "telemetry",
    },
    "app": {
        *ADAPTER,
        "admin",
        "alerts",
        "assembly",
        "clock",
        "gateway",
        "providers",
        "stores",
        "telemetry",
        "tokens",
        "version",
    },
    "serving": {*PORTS, "config", "gateway", "telemetry", "admin", "app", "assembly"},
    "commands": {
        *VOCABULARY,
        "config",
        "alerts",
        "admin",
        "telemetry",
        "stores",
        "embedding",
        "difficulty",
        "training",
        "evaluating",
        "assembly",
        "policy",
        "documents",
        "jobs",
        "pipelines",
        "serving",
        "cli",
    },
    "cli": {*VOCABULARY, "config", "serving"},  # its commands are named, and loaded when they are called
    "__main__": {"cli"},
}
LEAVES = ("headgate.sim.loop", "headgate.sim.clock", "headgate.clock", "headgate.types")
PACKAGE = sources("headgate")


def part_of(module: str) -> str:
    """`policy` of `headgate.policy.access`; the package itself holds its version alone."""
    return module.split(".")[1] if "." in module else "version"


def edges(source: Source) -> Iterator[str]:
    return (name for name in source.imports() if name == "headgate" or name.startswith("headgate."))


@each(PACKAGE)
def test_imports_point_one_way(source: Source) -> None:
    part = part_of(source.module)
    assert part in MAY_IMPORT, f"say in this file what the new part '{part}' may import"
    wrong = {name for name in edges(source) if part_of(name) not in {part, *MAY_IMPORT[part]}}
    assert not wrong, f"{part} may not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("module", LEAVES)
def test_leaves_import_nothing_of_headgate(module: str) -> None:
    (source,) = [source for source in PACKAGE if source.module == module]
    assert not list(edges(source))


def test_no_cycles() -> None:
    graph = {source.module: set(edges(source)) - {source.module} for source in PACKAGE}
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for imported in sorted(graph.get(module, ())):
                walk(imported, (*path, module))
            done.add(module)

    for module in graph:
        walk(module, ())


def test_adapters_are_picked_in_one_place() -> None:
    names = {source: {node.id for node in source.nodes if isinstance(node, ast.Name)} for source in PACKAGE}
    for adapter, homes in port_adapters().items():
        name = adapter.split()[1]
        for source in PACKAGE:
            part = part_of(source.module)
            if part in ROOTS or any(part == part_of(home.module) for home in homes):
                continue
            assert name not in names[source], f"{source.place} names {name}"


def test_every_part_there_is_has_its_rule_and_no_other() -> None:
    assert {part_of(source.module) for source in PACKAGE} == set(MAY_IMPORT)
