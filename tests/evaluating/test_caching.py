"""Replaying questions: what is read, what is counted, and that nothing is told that was not asked."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from headgate.errors import FileInvalid
from headgate.evaluating.caching import CachePlan, evaluate
from headgate.evaluating.questions import Question, read_questions, shuffled
from headgate.evaluating.replaying import Stream, Tally, Verifier, replay
from headgate.evaluating.thresholds import Point, best, rank, sweep
from headgate.policy.semantic.partition import Settings

NAMES = ["apple", "bread", "chair", "dance", "earth", "flute", "grape", "horse", "ivory", "jelly", "knife", "lemon"]
TOPICS = len(NAMES)
FORMS = ("where is the", "how do I get", "who sells", "tell me about the", "why did they take", "what is a")


def said(topic: int, number: int) -> str:
    """A question on a topic; `number` makes it one of its own, without being a number."""
    letters = "b" * (number % 7) + "c" * (number // 7 % 9) + "d" * (number // 63)
    return f"{FORMS[number % len(FORMS)]} {NAMES[topic]} {letters}"


def written(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in rows))
    return str(path)


def questions(count: int = 600, seed: int = 1) -> list[Question]:
    """On a few topics, a tenth of them out of scope."""
    chance = random.Random(seed)
    topics = [chance.randrange(TOPICS) for _ in range(count)]
    return [
        Question(said(topic, number), None if topic == 0 else str(topic))
        for number, topic in enumerate(topics)
    ]  # fmt: skip


def vectors(texts: list[str]) -> Any:
    """Near others of their topic, at some distance that the text decides."""
    rows = np.zeros((len(texts), TOPICS + 16), dtype=np.float32)
    for row, text in enumerate(texts):
        random_source = np.random.default_rng(sum(map(ord, text)) * 31 + len(text))
        rows[row, next(topic for topic, name in enumerate(NAMES) if name in text)] = 1.0
        rows[row, TOPICS:] = random_source.normal(0, 0.13, 16)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_shapes_are_told_by_their_rows(tmp_path: Path) -> None:
    clusters = written(tmp_path, [{"cluster": 0, "questions": ["a", "b"]}, {"cluster": 1, "questions": ["c"]}])
    assert read_questions(clusters) == [Question("a", "0"), Question("b", "0"), Question("c", "1")]
    intents = written(tmp_path, [{"text": "a", "intent": "x", "domain": "d"}, {"text": "b", "intent": "oos"}])
    assert read_questions(intents) == [Question("a", "x"), Question("b", None)]
    pairs = written(
        tmp_path, [{"a": "a", "b": "b", "dup": 1}, {"a": "c", "b": "b", "dup": 1}, {"a": "d", "b": "a", "dup": 0}]
    )
    read = {question.text: question.answer for question in read_questions(pairs)}
    assert read["a"] == read["b"] == read["c"] != read["d"]
    with pytest.raises(FileInvalid, match="no shape"):
        read_questions(written(tmp_path, [{"text": "a"}]))


def test_the_seed_decides_the_order() -> None:
    some = questions(50)
    assert shuffled(some, 20, 3) == shuffled(some, 20, 3) != shuffled(some, 20, 4)
    assert sorted(shuffled(some, None, 3), key=some.index) == some


def test_every_figure_can_be_counted_again() -> None:
    some = questions()
    plan = CachePlan(0.05, 0.1, limit=350, seeds=(3, 4))
    report = evaluate(some, plan, lambda texts: vectors(list(texts)))
    assert report.questions == 700
    assert report.hits == sum(seed.hits for seed in report.seeds) > 100
    assert report.false_hits == sum(seed.false_hits for seed in report.seeds)
    assert report.hit_rate == report.hits / 700
    assert report.false_hit_low <= report.false_hit_rate == report.false_hits / report.hits <= report.false_hit_high
    assert (
        report.verified == report.verified_hits + report.verified_misses == sum(seed.verified for seed in report.seeds)
    )
    assert report.verified_misses <= 700 - report.hits
    assert 0 < report.verified_hits < report.hits / 4
    assert sum(report.reasons.values()) == 700 and report.reasons["served"] == report.hits
    assert report.false_hit_low <= 0.05
    assert 0.8 < report.answerable < 0.95


def test_without_any_verification_nothing_is_ever_served() -> None:
    """The cache has no other way to the labels: what it is not told it cannot use."""
    some = shuffled(questions(), 300, 0)
    stream = Stream(some, vectors([question.text for question in some]))
    stream.right = lambda question, entry: False  # type: ignore[method-assign]  # nothing was ever right
    assert replay(stream, Settings(bound=0.05), 0).hits == 0


def test_a_verifier_only_keeps_answers_back_as_it_does_in_the_gateway() -> None:
    some = shuffled(questions(), 500, 0)
    stream = Stream(some, vectors([question.text for question in some]))

    def replayed(verifier: Verifier | None) -> Tally:
        return replay(stream, Settings(bound=0.05, shadow_share=0.1), 0, verifier)

    alone, never, sometimes = replayed(None), replayed(Verifier(0.0, 0.0)), replayed(Verifier(0.9, 0.05))
    assert alone.asked == 0 < alone.hits
    assert never.hits == 0 < never.asked == never.reasons["refuted"]
    assert sometimes.asked == sometimes.hits + sometimes.reasons["refuted"]
    assert 0 < sometimes.hits < sometimes.asked


def test_a_threshold_is_judged_as_the_cache_is() -> None:
    """Against a direct simulation: the nearest entry that entered on a miss."""
    some = shuffled(questions(), 200, 5)
    rows = vectors([question.text for question in some])
    stream = Stream(some, rows)
    swept = sweep(stream, rank(stream))
    for threshold in (0.6, 0.75, 0.9):
        entered: list[int] = []
        hits = false = 0
        for number in range(len(some)):
            nearest = max(entered, key=lambda entry: float(rows[entry] @ rows[number]), default=None)
            if nearest is not None and float(rows[nearest] @ rows[number]) >= threshold:
                hits += 1
                false += some[number].answer is None or some[number].answer != some[nearest].answer
            else:
                entered.append(number)
        assert swept[threshold] == (hits, false)


def test_guards_veto() -> None:
    some = [Question("room 12 in the lemon", "x"), Question("room 14 in the lemon", "y")]
    stream = Stream(some, vectors(["lemon", "lemon"]))
    assert sweep(stream, rank(stream))[0.95] == (1, 1)
    assert sweep(stream, rank(stream), guarded=True)[0.95] == (0, 0)


def test_the_best_threshold_keeps_the_bound() -> None:
    points = [
        Point(0.7, 0.5, 0.08, 50, 4),
        Point(0.8, 0.3, 0.02, 30, 1),
        Point(0.9, 0.1, 0.0, 10, 0),
        Point(1.0, 0, 0, 0, 0),
    ]
    assert best(points, 0.05).at == 0.8
    assert best(points, 0.01).at == 0.9
    assert best(points[:1], 0.01).hit_rate == 0.0
