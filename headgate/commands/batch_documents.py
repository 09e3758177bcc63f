"""The documents of a batch: read once, into a file, and sent from there in portions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from headgate.admin.job_shapes import EstimateView
from headgate.commands.asking import Server, segment
from headgate.documents.sources import documents, passed_over
from headgate.jobs.documents import Document
from headgate.policy.estimating import estimate_tokens
from headgate.policy.mapreduce import chunks, map_requests

PORTION_BYTES = 4_000_000
MOST_DOCUMENT_BYTES = 8_000_000  # that go to a server in one piece


def read(sources: Sequence[Path], spool: IO[bytes], plan: EstimateView, digest: Any) -> dict[str, int]:
    """Every document once, into a file: they may be more than fit into memory. What there is, as estimates take it."""
    load = {"documents": 0, "requests": 0, "text_tokens": 0}
    for document in _all(sources):
        line = msgspec.json.encode(document)
        if len(line) > MOST_DOCUMENT_BYTES:
            why = f"'{document.name}' has more than {MOST_DOCUMENT_BYTES} bytes of text. Split it."
            document = Document(document.name, error_code="document_too_large", error=why)
            line = msgspec.json.encode(document)
        spool.write(line + b"\n")
        digest.update(line)
        load["documents"] += 1
        if document.error_code:
            click.echo(f"{document.name}: {document.error}", err=True)
            continue
        tokens = estimate_tokens(document.text)
        load["text_tokens"] += tokens
        load["requests"] += _requests(document.text, tokens, plan)
    return load


def send(server: Server, job_id: str, spool: IO[bytes]) -> None:
    """Documents that are there already stay as they are: whoever was stopped in the middle begins again."""
    first = 1
    for portion in _portions(spool):
        server.ask("POST", f"/v1/jobs/{segment(job_id)}/documents", {"documents": portion, "first": first})
        first += len(portion)
    server.ask("POST", f"/v1/jobs/{segment(job_id)}/documents", {"documents": [], "first": first, "last": True})


def _all(sources: Sequence[Path]) -> Iterator[Document]:
    """Of several sources, each document's name begins with its source."""
    for source in sources:
        if others := passed_over(source):
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
            click.echo(f"{source}: files of other kinds are passed over: {kinds}", err=True)
        for found in documents(source):
            name = found.name if len(sources) == 1 or found.name == source.name else f"{source.name}/{found.name}"
            yield Document(name, found.text, found.error_code, found.error)


def _requests(text: str, tokens: int, plan: EstimateView) -> int:
    """How many a document is read with. A plan without pieces reads documents whole."""
    if not plan.chunk_tokens or tokens < plan.chunk_tokens:
        return 1
    return map_requests(sum(1 for _ in chunks(text, plan.chunk_tokens)), plan.fan_in)


def _portions(spool: IO[bytes]) -> Iterator[list[msgspec.Raw]]:
    spool.seek(0)
    portion: list[msgspec.Raw] = []
    size = 0
    for line in spool:
        if portion and size + len(line) > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(msgspec.Raw(line.rstrip(b"\n")))
        size += len(line)
    if portion:
        yield portion
