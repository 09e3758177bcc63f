"""JSON answers that are none, or hold what no dialect allows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.types import Counted, Usage
from headgate.wire.openai import WholeAnswer
from tests.conformance.judging import READERS, in_words_of
from tests.conformance.meaning import differences
from tests.conformance.recordings import READERS as PROVIDER_READERS
from tests.hostile.answers import ANSWERS
from tests.hostile.damage import HALVES, INVALID, ODD, RAW, places, with_raw
from tests.hostile.hearing import ASK, PAIR_NAMES, PAIRS, call, dialogue
from tests.hostile.voices import ERROR, TOKENS_IN, TOKENS_OUT, Event, Voice, dump
from tests.scale import scaled

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
TOLD = Usage(input=TOKENS_IN, output=TOKENS_OUT, counted=Counted.REPORTED)


def read(client: str, voice: Voice, body: bytes) -> WholeAnswer:
    return dialogue(client, voice).read_whole(call(client, stream=False), ASK, body)


def is_no_answer(client: str, voice: Voice, body: bytes) -> bool:
    """Whether it is refused, as unreadable, as an error or as empty: nothing of it is shown then."""
    try:
        answer = read(client, voice, body)
    except ValueError:
        return True
    return bool(answer.failed) or answer.empty


@every_pair
def test_the_plain_story(client: str, voice: Voice) -> None:
    answer = read(client, voice, dump(ANSWERS[voice.dialect]))
    assert (answer.usage, answer.failed, answer.empty) == (TOLD, "", False)
    told = PROVIDER_READERS[voice.dialect].read_answer(ANSWERS[voice.dialect])
    if answer.body is not None:
        assert not differences(in_words_of(told, client), READERS[client].read_answer(json.loads(answer.body)))
    assert (answer.body is None) == (client == voice.dialect)


@every_pair
def test_cut_at_every_byte(client: str, voice: Voice) -> None:
    body = dump(ANSWERS[voice.dialect])
    for length in range(len(body)):
        with pytest.raises(ValueError):
            read(client, voice, body[:length])


NO_ANSWERS = (
    *(b"null", b"[]", b"{}", b'""', b" {}\n", b"{", b"<html></html>", b"data: {}\n\n", b"\xff", b"\xef\xbb\xbf"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"\x1f\x8b\x08\x00", b'{"a":"\xff"}', b'{"a":1}{"a":1}'),
)


@every_pair
def test_what_is_no_answer(client: str, voice: Voice) -> None:
    for body in NO_ANSWERS:
        assert is_no_answer(client, voice, body), body[:50]


@every_pair
def test_a_stream_in_place_of_an_answer(client: str, voice: Voice) -> None:
    assert is_no_answer(client, voice, voice.stream(voice.tell()))


@every_pair
def test_an_error_inside_a_200(client: str, voice: Voice) -> None:
    errors: dict[str, Any] = {
        "responses": {"object": "response", "status": "failed", "error": {"code": "x", "message": ERROR}, "output": []},
        "messages": {"type": "error", "error": {"type": "overloaded_error", "message": ERROR}},
        "converse": {"message": ERROR},
    }
    error = errors.get(voice.dialect) or voice.error.payload
    assert ERROR in read(client, voice, dump(error)).failed
    assert len(read(client, voice, dump(error).replace(ERROR.encode(), b"x" * 9_000_000)).failed) < 3_000


@every_pair
def test_invalid_utf_8_anywhere(client: str, voice: Voice) -> None:
    body = dump(ANSWERS[voice.dialect])
    inside = [body.replace("🙂".encode(), invalid) for invalid in INVALID]
    for broken in (*inside, *(b'{"tomorrow":"' + invalid + b'",' + body[1:] for invalid in INVALID)):
        assert broken != body
        with contextlib.suppress(ValueError):
            answer = read(client, voice, broken)
            assert answer.body is not None, "what cannot be read is not passed on"
            answer.body.decode()


@every_pair
def test_half_a_character(client: str, voice: Voice) -> None:
    for half in HALVES:
        answer = read(client, voice, dump(ANSWERS[voice.dialect]).replace("🙂".encode(), half))
        if answer.body is not None:
            said = READERS[client].read_answer(json.loads(answer.body)).choices[0].text
            assert said.replace("\ufffd", "") == "Hé, the  wheel\u2028turns."
            assert answer.usage == TOLD


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Voice, bytes]:
    """A whole answer with other values in some places."""
    client, voice = draw(st.sampled_from(PAIRS))
    event = Event("", ANSWERS[voice.dialect])
    for _ in range(draw(st.integers(1, 2))):
        raw = draw(st.sampled_from(ODD).map(dump) | st.sampled_from(RAW))
        try:
            value = json.loads(event.data)
        except (ValueError, RecursionError):
            break
        event = with_raw(event, draw(st.sampled_from(list(places(value)))), raw)
    return client, voice, event.data


@settings(max_examples=scaled(500, 150), derandomize=True)
@given(damaged())
def test_values_of_any_kind_in_any_place(case: tuple[str, Voice, bytes]) -> None:
    client, voice, body = case
    check: Callable[[], WholeAnswer] = lambda: read(client, voice, body)  # noqa: E731
    try:
        answer = check()
    except ValueError:
        return
    if answer.usage is not None:
        assert 0 <= answer.usage.cached_input <= answer.usage.input <= 10**9
        assert 0 <= answer.usage.reasoning <= answer.usage.output <= 10**9
    if answer.body is not None:
        READERS[client].read_answer(json.loads(answer.body))
    elif not answer.failed:
        body.decode()
