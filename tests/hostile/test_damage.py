"""Bytes and values that no dialect allows: no exception, no invalid bytes and no false success for the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import StreamFailed, StreamMalformed
from tests.conformance import frames
from tests.conformance.meaning import differences
from tests.hostile.hearing import PAIR_NAMES, PAIRS, Heard, hear, meant
from tests.hostile.voices import CONTENT, END, FINISH, VOICES, WORDS, Event, Voice

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
every_client_of_aws = pytest.mark.parametrize("client", ["chat", "responses", "messages"])
INVALID = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80")


def is_sound(client: str, heard: Heard) -> None:
    """What the client gets is text and JSON, and ends well if nothing failed and only then."""
    payloads = frames.payloads(heard.body.decode())
    for payload in payloads:
        assert payload == frames.DONE or json.loads(payload) is not ...
    if heard.failure is not None:
        assert isinstance(heard.failure, StreamMalformed | StreamFailed) or heard.failure.code
        last = json.loads(payloads[-1])
        assert "error" in last and last.get("type", "error") == "error"


# --- UTF-8 ---


@every_pair
@pytest.mark.parametrize("invalid", INVALID)
def test_invalid_utf_8_in_what_is_said(client: str, voice: Voice, invalid: bytes) -> None:
    events = voice.tell()
    place = next(number for number, event in enumerate(events) if WORDS[1].encode() in event.data)
    events[place] = Event(CONTENT, events[place].data.replace("🙂".encode(), invalid, 1), events[place].name)
    heard = hear(client, voice, [voice.frame(event) for event in events])
    assert isinstance(heard.failure, StreamMalformed) and heard.committed
    is_sound(client, heard)
    assert heard.reading(client).failure


@every_pair
@pytest.mark.parametrize("invalid", INVALID)
def test_invalid_utf_8_in_what_nobody_reads(client: str, voice: Voice, invalid: bytes) -> None:
    """It must not be passed on: a client would fail at it. Where it is not, it does no harm."""
    for place, event in enumerate(voice.tell()):
        if event.data.startswith(b"{"):
            events = voice.tell()
            events[place] = Event(event.what, b'{"tomorrow":"' + invalid + b'",' + event.data[1:], event.name)
            heard = hear(client, voice, [voice.frame(event) for event in events])
            is_sound(client, heard)
            if client == voice.dialect:
                assert isinstance(heard.failure, StreamMalformed)


@every_pair
@pytest.mark.parametrize("field", [b": \xff\n\n", b"id: \xff\n\n", b"\xff: 1\n\n", b"event: \xff\ndata:\n\n"])
def test_invalid_utf_8_in_other_fields(client: str, voice: Voice, field: bytes) -> None:
    if voice.is_text:
        events = [voice.frame(event) for event in voice.tell()]
        heard = hear(client, voice, [*events[:3], field, *events[3:]])
        is_sound(client, heard)
        assert (heard.failure is None) == (client != voice.dialect)


@every_pair
def test_a_character_cut_in_two(client: str, voice: Voice) -> None:
    """Half of a surrogate pair in each event, as some servers cut: the halves are put together."""
    events = voice.tell()
    place = next(number for number, event in enumerate(events) if WORDS[1].encode() in event.data)
    before, after = events[place].data.split("🙂".encode())
    start = before.index(b"the ")
    halves = [
        Event(CONTENT, before + b"\\ud83d" + b'"' + after[after.index(b'"') + 1 :], events[place].name),
        Event(CONTENT, before[:start] + b"\\ude42" + after, events[place].name),
    ]
    stream = voice.stream([*events[:place], *halves, *events[place + 1 :]])
    heard = hear(client, voice, [stream])
    assert heard.failure is None
    if client != voice.dialect:
        assert not differences(meant(client, voice, voice.stream(events)), heard.reading(client))


@every_pair
@pytest.mark.parametrize("half", [b"\\ud83d", b"\\ude42", b"\\uD83D\\ud83d", b"\\udfff\\ud800"])
def test_half_a_character(client: str, voice: Voice, half: bytes) -> None:
    """It can be shown by nothing but the replacement character; all else is kept."""
    events = voice.tell()
    for place, event in enumerate(events):
        if "🙂".encode() in event.data:
            events[place] = Event(event.what, event.data.replace("🙂".encode(), half), event.name)
    heard = hear(client, voice, [voice.stream(events)])
    assert heard.failure is None
    is_sound(client, heard)
    if client != voice.dialect:
        said = heard.reading(client).choices[0].text
        assert said.replace("\ufffd", "") == "".join(WORDS).replace("🙂", "")


# --- AWS's frames ---


@every_client_of_aws
def test_a_flipped_bit_anywhere(client: str) -> None:
    voice = VOICES["converse"]
    stream = voice.stream(voice.tell())
    whole = hear(client, voice, [stream])
    for place in range(len(stream)):
        bit = 1 << place % 8
        heard = hear(client, voice, [stream[:place] + bytes([stream[place] ^ bit]) + stream[place + 1 :]])
        assert heard.failure is not None, place
        assert whole.body.startswith(heard.body[: heard.body.rindex(b"data: ")].removesuffix(b"event: error\n"))
        assert heard.reading(client).failure


@every_client_of_aws
def test_a_message_that_says_it_is_longer_than_any(client: str) -> None:
    voice = VOICES["converse"]
    heard = hear(client, voice, [b"\x7f\xff\xff\xff\x00\x00\x00\x00" + b"\x00" * 100], ends=False)
    assert isinstance(heard.failure, StreamMalformed)


# --- values ---

ODD = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30),
    *(1e300, -1e300, 1e-320, 1.5, "", "x", "\u2028", "\x00", "12", "[DONE]", "error", "x" * 70),
    *([], {}, [[]], [{}], [None], {"a": 1}, {"": None}, [1, 2, 3], {"error": "no"}, {"type": "error"}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RAW = [
    *(b"NaN", b"Infinity", b"1e999", b"-1e999", b"1" * 400, b"0" * 9, b"'x'", b"", b"}", b"]", b'"', b"/**/1"),
    *(b"[" * depth + b"]" * depth for depth in (900, 3_000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (900, 3_000)),
    *(b'"\\ud83d"', b'"\\u0000"', b'"\\x"', b'"\n"', b'"\xff"'),
]
_HERE = "here, and nowhere else"


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in JSON, the whole of it first."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from places(member, (*path, step))


def with_raw(event: Event, path: tuple[str | int, ...], raw: bytes) -> Event:
    """The event with other JSON at a place."""
    value: Any = json.loads(event.data)
    if not path:
        return Event(event.what, raw, event.name)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = _HERE
    return Event(event.what, json.dumps(value).encode().replace(json.dumps(_HERE).encode(), raw), event.name)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Voice, list[Event]]:
    """A story with some events lost, repeated, swapped or with other values in them."""
    client, voice = draw(st.sampled_from(PAIRS))
    events = voice.tell()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(events) - 1))
        match draw(st.integers(0, 9)):
            case 0 if len(events) > 1:
                del events[place]
            case 1:
                events.insert(draw(st.integers(0, len(events))), events[place])
            case 2:
                other = draw(st.integers(0, len(events) - 1))
                events[place], events[other] = events[other], events[place]
            case 3:
                events.insert(place, voice.error)
            case _ if events[place].data[:1] == b"{" and isinstance(events[place].payload, dict):
                path = draw(st.sampled_from(list(places(events[place].payload))))
                odd = st.sampled_from(ODD) | JSON
                raw = odd.map(lambda value: json.dumps(value).encode()) | st.sampled_from(RAW)
                events[place] = with_raw(events[place], path, draw(raw))
            case _:
                pass
    return client, voice, events


@settings(max_examples=2_000, deadline=None, derandomize=True)
@given(damaged())
def test_values_of_any_kind_in_any_place(case: tuple[str, Voice, list[Event]]) -> None:
    client, voice, events = case
    heard = hear(client, voice, [voice.stream(events)])
    for usage in (heard.usage, heard.usage_so_far):
        if usage is not None:
            assert 0 <= usage.cached_input + usage.cache_write + usage.cache_write_1h <= usage.input <= 10**9
            assert 0 <= usage.reasoning <= usage.output <= 10**9
    if client != voice.dialect or heard.failure is not None:
        is_sound(client, heard)
        if client != voice.dialect:
            assert bool(heard.reading(client).failure) == (heard.failure is not None)
    if heard.failure is None:  # a wrong type that does no harm may be overlooked in an event that comes alone
        assert hear(client, voice, [voice.frame(event) for event in events]) == heard


def test_the_end_alone_decides(client: str = "chat") -> None:
    """A stream whose every event is damaged but the last is no answer."""
    for voice in VOICES.values():
        end = [event for event in voice.tell() if event.what in (FINISH, END)]
        broken = Event(CONTENT, b'{"type":', voice.tell()[1].name)
        heard = hear(client, voice, [voice.stream([broken, *end])])
        assert heard.failure is not None
