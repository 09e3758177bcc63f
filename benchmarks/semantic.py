"""What looking by meaning costs: embedding a question beside a busy event loop, deciding at many entries, memory.

    python -m benchmarks.semantic [--entries 100000] [--asked 1000]

Questions are made up (families of paraphrases of thousands of topics, all different); their vectors in the index are
drawn around a centre for each family with the spread that MiniLM's vectors of paraphrases have, because embedding so
many texts would take minutes. Everything runs on one core. "CPU" is the time that this thread had it, which holds on a
busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `headgate` does, before anything imports numpy

import numpy as np
import numpy.typing as npt

from headgate.embedding import prepared
from headgate.embedding.local import LocalEmbedder
from headgate.embedding.offline import local_model
from headgate.gateway.semantic_memory import Entered, Learned, Scope, SemanticMemory
from headgate.policy.semantic.partition import Settings, Verified
from headgate.policy.semantic.sketch import sketch
from headgate.stores.vectors_exact import ExactIndex
from headgate.stores.vectors_hnsw import HnswIndex

Vectors = npt.NDArray[np.float32]

clock = time.thread_time
FAMILY = 5  # entries that mean the same
SPREAD = 0.55  # of a paraphrase around its family's centre: a cosine of about 0.77 between two of them
SCOPE = Scope("acme", "small", "", Settings(bound=0.01, shadow_share=0.02))
VERBS = ("reset", "change", "cancel", "order", "find", "repair", "renew", "print", "share", "delete")
THINGS = ("password", "invoice", "badge", "router", "contract", "address", "card", "report", "account", "key")
WAYS = (
    "How do I {} my {} {}?",
    "How can I {} the {} {}?",
    "What do I do to {} my {} {}?",
    "I want to {} my {} {}, how?",
    "Please tell me how to {} the {} {}",
)


def text(number: int) -> str:
    topic, way = divmod(number, FAMILY)
    return WAYS[way].format(VERBS[topic % 10], THINGS[topic // 10 % 10], f"of type {_word(topic // 100)}")


def _word(number: int) -> str:
    letters = ""
    while number or not letters:
        number, rest = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[rest] + "aeiou"[rest % 5]
    return letters


def vectors(count: int, dimensions: int) -> Vectors:
    chance = np.random.default_rng(1)
    centres = chance.standard_normal((count // FAMILY + 1, dimensions)).astype(np.float32)
    rows = np.repeat(centres, FAMILY, axis=0)[:count]
    rows = rows + SPREAD * chance.standard_normal(rows.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def told(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    print(f"{name:<46} p50 {p50 * 1000:8.3f} ms   p99 {p99 * 1000:8.3f} ms")


def deciding(entries: int, asked: int) -> None:
    """Every entry is entered as the gateway does, and a question asked of all of them in one partition."""
    rows = vectors(entries, prepared.DIMENSIONS)
    before = resident_bytes()
    memory, adding = SemanticMemory(HnswIndex, entries), []
    for number, row in enumerate(rows):
        note = Entered(SCOPE, "p", f"{number:048x}", row.tobytes(), sketch(text(number)), 0.7)
        began = clock()
        memory.apply(note)
        adding.append(clock() - began)
    used = resident_bytes() - before
    print(f"{entries} entries in one partition, {prepared.DIMENSIONS} dimensions")
    print(f"{'memory of an entry, all in all':<46} {used / entries:8.0f} bytes")
    print(f"{'of these the index':<46} {memory.size_bytes / entries:8.0f} bytes")
    told("entering one, in the background, CPU", adding)
    exact = ExactIndex(prepared.DIMENSIONS)
    for number, row in enumerate(rows):
        exact.add("p", f"{number:048x}", row.tobytes())
    chance = np.random.default_rng(2)
    seconds, same = [], 0
    for number in chance.integers(0, entries, asked).tolist():
        near = rows[number] + 0.3 * SPREAD / prepared.DIMENSIONS**0.5 * chance.standard_normal(prepared.DIMENSIONS)
        vector = (near / np.linalg.norm(near)).astype(np.float32).tobytes()
        began = clock()
        decision, _ = memory.ask(SCOPE, "p", vector, sketch(text(number)), 0.5)
        seconds.append(clock() - began)
        if decision.evidence is not None:
            memory.apply(Learned(SCOPE, Verified(decision.evidence, correct=True, entered="none")))
            nearest = exact.search("p", vector, 1)[0]
            same += decision.evidence.entry == nearest.key or decision.evidence.similarity >= nearest.similarity - 1e-3
    told("decision without the embedding, CPU", seconds)
    print(f"{'the best candidate is the exact nearest':<46} {same / asked:8.1%}")
    before_exact: list[float] = []
    for number in chance.integers(0, entries, min(asked, 100)).tolist():
        began = clock()
        exact.search("p", rows[number].tobytes(), 10)
        before_exact.append(clock() - began)
    told("exact search of as many, for comparison, CPU", before_exact)


async def embedding(asked: int) -> None:
    """One question after another, while the event loop is watched."""
    model, cpu = local_model(prepared.place("")), list[float]()
    for number in range(asked):
        began = clock()
        model.embed([text(7 * number)])
        cpu.append(clock() - began)
    told("embedding a question (12 to 16 tokens), CPU", cpu)
    embedder, lags, stop = LocalEmbedder(prepared.place("")), list[float](), asyncio.Event()
    began = time.perf_counter()
    await embedder.start()
    print(f"{'start of the embedding process':<46} {time.perf_counter() - began:8.2f} s")

    async def watch() -> None:
        while not stop.is_set():
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - due)

    watching, seconds = asyncio.create_task(watch()), []
    for number in range(asked):
        began = time.perf_counter()
        await embedder.embed([text(7 * number)])
        seconds.append(time.perf_counter() - began)
    stop.set()
    await watching
    await embedder.aclose()
    told("the same in a process beside, on the wall", seconds)
    told("event loop lag meanwhile, on the wall", lags)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=1_000)
    options = parser.parse_args()
    asyncio.run(embedding(options.asked))
    deciding(options.entries, options.asked)


if __name__ == "__main__":
    main()
