"""Look up by meaning: what is served, what is learned from it, and whom it never concerns."""

from __future__ import annotations

import asyncio
import json

import msgspec
import numpy as np
import pytest

from headgate.cache_types import Sampled, SemanticRules
from headgate.gateway.semantic_checks import JUDGE_TAG, SHADOW_TAG, VERIFIER_TAG
from headgate.gateway.semantic_memory import Asked, Entered, Learned, Notes, Scope, SemanticMemory
from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.rules import Rules
from headgate.policy.semantic.evidence import FEATURES, Evidence
from headgate.policy.semantic.partition import Settings, Verified
from headgate.policy.semantic.sketch import sketch
from headgate.stores.memory_entry_log import MemoryEntryLog
from headgate.stores.vectors_hnsw import HnswIndex
from headgate.types import CacheControl, CacheMode, Caller, Outcome
from tests.gateway.corridor import ALICE, EVERYTHING, run
from tests.gateway.meaning import JUDGE, LAST, RULES, Meaning, question

EVE = Caller("key_3", "other", "eve", EVERYTHING)


@pytest.mark.parametrize("stream", [False, True])
def test_it_learns_and_then_answers_what_means_the_same(stream: bool) -> None:
    async def scenario() -> None:
        corridor = Meaning()
        seen = await corridor.teach(stream=stream)
        assert seen[:50].count("miss") == 50, "nothing is served before it is known to be right"
        assert seen[-5:] == ["semantic"] * 5
        visit = await corridor.visit(corridor.asking(LAST.format("badge"), stream=stream))
        assert visit.head is not None
        assert (visit.head.cache, visit.head.model, visit.head.provider) == ("semantic", "small", "up")
        source, similarity, probability = visit.head.kept_from.split("; ")
        (first,) = [row for row in corridor.journal.appended if row.id == source]
        assert first.outcome is Outcome.DONE and first.tags == ()
        assert float(similarity.removeprefix("similarity=")) > 0.8 < float(probability.removeprefix("probability="))
        assert b"settings of topic 7." in visit.body
        assert visit.body.endswith(b"data: [DONE]\n\n") or not stream
        (row,) = [row for row in corridor.journal.appended if row.id == visit.head.request_id]
        assert (row.outcome, row.cost_picousd, row.attempts) == (Outcome.CACHED, 0, ())

    run(scenario)


def test_a_share_of_the_hits_is_asked_upstream_too_and_booked() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        hits = (await corridor.teach()).count("semantic")
        shadows = [row for row in corridor.journal.appended if SHADOW_TAG in row.tags]
        assert hits > 5
        assert len(shadows) == hits, "all of them: the share is 1"
        assert all(row.cost_picousd > 0 and row.tenant == "acme" for row in shadows)
        assert corridor.counted.verified["small", "served", "right"] == hits
        (switch,) = corridor.memory.switches().values()
        assert switch.on and switch.interval.high < 1

        none = Meaning(msgspec.structs.replace(RULES, shadow_share=0.0))
        assert (await none.teach()).count("semantic") > 5
        assert not [row for row in none.journal.appended if row.tags]

    run(scenario)


def test_asking_upstream_too_leaves_the_idempotency_key_of_a_hit_free() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach()
        before = corridor.counted.verified["small", "served", "right"]
        hit = msgspec.structs.replace(corridor.asking(LAST.format("badge")), idempotency_key="k1")
        visit = await corridor.visit(hit)
        await asyncio.sleep(5)
        assert visit.head is not None and visit.head.cache == "semantic"
        assert corridor.counted.verified["small", "served", "right"] == before + 1
        other = msgspec.structs.replace(corridor.asking("What is the weather like?"), idempotency_key="k1")
        assert (await corridor.visit(other)).error is None

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_a_second_answer_that_was_cut_is_no_measure_of_the_one_that_was_given(stream: bool) -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach(stream=stream)
        before = dict(corridor.counted.verified)
        corridor.provider.finish = "length"
        asked = len(corridor.provider.asked)
        assert await corridor.ask(LAST.format("badge"), stream=stream) == "semantic"
        assert len(corridor.provider.asked) == asked + 1
        assert corridor.counted.verified == before

    run(scenario)


def test_nobody_gets_an_answer_from_another_context() -> None:
    async def scenario() -> None:
        corridor = Meaning(sampled=Sampled.ALWAYS)
        await corridor.teach()
        text = LAST.format("router")
        assert await corridor.ask(text, caller=EVE) == "miss"
        assert await corridor.ask(text, system="Answer in French.") == "miss"
        assert await corridor.ask(text, stream=True) == "miss"
        assert await corridor.ask(text, temperature=1) == "miss"
        assert await corridor.ask(text, max_tokens=5) == "miss"
        assert await corridor.ask(text, tools=[{"type": "function", "function": {"name": "f"}}]) == "miss"
        told = msgspec.structs.replace(corridor.asking(text), prompt_version="2")
        visit = await corridor.visit(told)
        assert visit.head is not None and visit.head.cache == "miss"
        said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
        history = json.dumps([*said, {"role": "user", "content": text}])
        later = msgspec.structs.replace(
            corridor.asking(text), fields={**corridor.asking(text).fields, "messages": msgspec.Raw(history.encode())}
        )
        visit = await corridor.visit(later)
        assert visit.head is not None and visit.head.cache == "miss"
        assert await corridor.ask(text) == "semantic"

    run(scenario)


def test_of_what_is_to_be_redacted_nothing_is_kept_or_embedded_and_other_values_are_another_question() -> None:
    async def scenario() -> None:
        corridor, heard = Meaning(pii=Rules(redact=frozenset({PiiClass.EMAIL}))), list[bytes]()

        def hear(note: bytes) -> None:
            heard.append(note)
            corridor.semantic.apply(note)

        corridor.semantic.connect(MemoryEntryLog(hear))
        await corridor.teach()
        ann, bob = "ann.smith@example.com", "bob.jones@example.com"
        assert await corridor.ask(f"{question(0)} I am {ann}.") == "miss", "nobody with this address has asked before"
        assert await corridor.ask(f"{LAST.format('router')} I am {ann}.") == "semantic"
        assert await corridor.ask(f"{LAST.format('router')} I am {bob}.") == "miss"
        assert f"{LAST.format('router')} I am [email]." in corridor.embedder.asked
        told = b"".join(heard).lower()
        assert b"router" in told and not any(word in told for word in (b"smith", b"jones", b"example"))

    run(scenario)


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "How do I reset my badge?"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
        "x" * 1_001,
        "  ",
    ],
)
def test_what_is_no_short_text_is_not_looked_for(content: object) -> None:
    async def scenario() -> None:
        corridor = Meaning()
        visit = await corridor.visit(corridor.call(stream=False, messages=[{"role": "user", "content": content}]))
        assert visit.head is not None and visit.head.cache == "miss"
        assert corridor.embedder.asked == []

    run(scenario)


def test_what_the_caller_says_of_the_cache_holds() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach()
        text = LAST.format("router")

        async def wish(mode: CacheMode, ttl_seconds: float | None = None) -> str:
            control = CacheControl(mode, ttl_seconds)
            visit = await corridor.visit(msgspec.structs.replace(corridor.asking(text), cache=control))
            return visit.head.cache if visit.head is not None else str(visit.error and visit.error.code)

        assert await wish(CacheMode.ONLY) == "semantic"
        assert await wish(CacheMode.OFF) == "off"
        assert await wish(CacheMode.USE, 0.0) == "miss"
        assert await wish(CacheMode.REFRESH) == "miss"
        assert await wish(CacheMode.USE) == "exact"

    run(scenario)


def test_without_vectors_it_is_a_miss_and_soon() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach()
        corridor.embedder.seconds = 60.0
        began = corridor.clock.monotonic()
        visit = await corridor.visit(corridor.asking(LAST.format("router")))
        assert visit.head is not None and visit.head.cache == "miss"
        assert corridor.clock.monotonic() - began < RULES.wait_seconds + 0.01
        await asyncio.sleep(60)
        corridor.embedder.seconds, corridor.embedder.fails = 0.0, True
        assert await corridor.ask(LAST.format("printer")) == "miss"
        assert corridor.counted.decided["small", "unavailable"] == 2

    run(scenario)


def test_a_verifier_has_the_last_word() -> None:
    async def scenario() -> None:
        corridor = Meaning(msgspec.structs.replace(RULES, verifier=JUDGE))
        await corridor.teach()
        assert await corridor.ask(LAST.format("router")) == "semantic"
        asked = [row for row in corridor.journal.appended if VERIFIER_TAG in row.tags]
        assert asked and all((row.model, row.tenant) == (JUDGE, "acme") for row in asked)
        for verdict in ("NO", "I cannot say."):
            corridor.provider.verdict = verdict
            assert await corridor.ask(f"{verdict} {LAST.format('printer')}") == "miss"

    run(scenario)


@pytest.mark.parametrize(
    ("verdict", "learned"), [("YES", ("missed", "right")), ("No.", ("missed", "wrong")), ("?", ())]
)
def test_a_judge_compares_what_is_not_the_same_word_for_word(verdict: str, learned: tuple[str, ...]) -> None:
    async def scenario() -> None:
        corridor = Meaning(msgspec.structs.replace(RULES, judge=JUDGE))
        corridor.provider.fickle, corridor.provider.verdict = True, verdict
        await corridor.ask(question(0))
        await corridor.ask(question(8))
        assert dict(corridor.counted.verified) == ({("small", *learned): 1} if learned else {})
        (asked,) = [row for row in corridor.journal.appended if JUDGE_TAG in row.tags]
        assert asked.model == JUDGE

    run(scenario)


def test_a_broken_bound_turns_it_off_and_there_is_a_way_back() -> None:
    async def scenario() -> None:
        corridor, notes, hits = Meaning(), Notes(), list[Asked | None]()
        corridor.semantic.served = lambda journey, ticket, kept: hits.append(ticket.asked)  # type: ignore[method-assign]  # listening
        await corridor.teach()
        (scope,) = corridor.memory.switches()
        assert hits[-1] is not None and hits[-1].decision.evidence is not None
        evidence = hits[-1].decision.evidence

        def learn(correct: bool, entered: str = "") -> None:
            corridor.semantic.apply(notes.write(Learned(scope, Verified(evidence, correct, entered))))

        for _ in range(40):
            learn(correct=False)
        (off,) = corridor.switched_to
        assert not off.on
        assert "verified hits were false" in off.reason
        assert await corridor.ask(LAST.format("router")) == "miss"
        for _ in range(400):
            learn(correct=True, entered="aa")
        assert [switch.on for switch in corridor.switched_to] == [False, True]
        assert await corridor.ask(f"Again. {LAST.format('router')}") == "semantic"

    run(scenario)


def test_a_process_that_reads_what_happened_before_it_started_tells_nobody_again() -> None:
    async def scenario() -> None:
        corridor, notes = Meaning(), list[bytes]()
        corridor.semantic.connect(MemoryEntryLog(notes.append))
        scope = Scope("acme", "small", "", Settings(0.01, 0.02))
        verified = Verified(Evidence("aa", 0.9, "", (0.0,) * len(FEATURES), 1.0), correct=False)
        corridor.semantic.apply(Notes().write(Learned(scope, verified)))
        assert corridor.switched_to == [], "one mistake is not enough"
        log = MemoryEntryLog(notes.append)
        log.is_current = False
        corridor.semantic.connect(log)
        for _ in range(20):
            corridor.semantic.apply(Notes().write(Learned(scope, verified)))
        assert not corridor.memory.switches()[scope].on
        assert corridor.switched_to == []

    run(scenario)


def test_a_note_of_another_release_is_passed_over() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        for note in (b"", b"\x93\x01\x02\x03", b"nonsense"):
            corridor.semantic.apply(note)
        assert len(corridor.memory) == 0
        for dimensions in (32, 31):  # another embedder's vector
            vector = np.zeros(dimensions, dtype="<f4").tobytes()
            scope = Scope("acme", "small", "", Settings(0.01, 0.02))
            corridor.semantic.apply(Notes().write(Entered(scope, "p", f"{dimensions:02x}", vector, sketch("a"), 0.0)))
        assert len(corridor.memory) == 1

    run(scenario)


def test_who_asks_the_same_meanwhile_gets_what_was_found() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach()
        asked, text = len(corridor.provider.asked), LAST.format("router")
        visits = await asyncio.gather(*(corridor.visit(corridor.asking(text)) for _ in range(50)))
        seen = [visit.head.cache for visit in visits if visit.head is not None]
        assert sorted(set(seen)) == ["coalesced", "semantic"]
        assert seen.count("semantic") == 1
        assert len({visit.body for visit in visits}) == 1
        assert len(corridor.provider.asked) == asked + 1, "the shadow of the one hit"

    run(scenario)


def test_looking_costs_one_embedding_and_no_provider_for_alice() -> None:
    async def scenario() -> None:
        corridor = Meaning(SemanticRules(bound=0.2, shadow_share=0.0))
        await corridor.teach()
        before = len(corridor.embedder.asked)
        assert await corridor.ask(LAST.format("badge"), caller=ALICE) == "semantic"
        assert corridor.embedder.asked[before:] == [LAST.format("badge")]

    run(scenario)


def test_a_replica_that_hears_the_same_notes_decides_the_same() -> None:
    async def scenario() -> None:
        corridor, heard = Meaning(), list[bytes]()

        def hear(note: bytes) -> None:
            heard.append(note)
            corridor.semantic.apply(note)

        corridor.semantic.connect(MemoryEntryLog(hear))
        await corridor.teach()
        replica, notes = SemanticMemory(lambda dimensions: HnswIndex(dimensions, exact_entries=8), 1_000), Notes()
        for data in heard:
            replica.apply(notes.read(data))
        assert len(replica) == len(corridor.memory) > 50
        assert replica.switches() == corridor.memory.switches()
        (scope,) = replica.switches()
        entered = [note for data in heard if isinstance(note := notes.read(data), Entered)]
        for note in entered[::7]:
            one, other = (
                memory.ask(scope, note.partition, note.vector, note.question, 0.5)[0]
                for memory in (corridor.memory, replica)
            )
            assert (one.serve, one.reason) == (other.serve, other.reason)
            assert one.probability == pytest.approx(other.probability, abs=0.01)

    run(scenario)


def test_the_oldest_entries_make_room() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        corridor.memory.most_entries = 20
        await corridor.teach()
        assert len(corridor.memory) == 20
        corridor.memory.most_entries = 5
        await corridor.ask("What is the weather like?")
        assert len(corridor.memory) == 5
        assert corridor.memory.size_bytes > 0

    run(scenario)
