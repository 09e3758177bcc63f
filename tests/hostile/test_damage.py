"""Bytes and values that no dialect allows: no exception, no invalid bytes and no false success for the client."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import StreamFailed, StreamMalformed
from tests.conformance import frames
from tests.conformance.meaning import differences
from tests.hostile.damage import HALVES, INVALID, JSON, ODD, RAW, places, with_raw
from tests.hostile.hearing import PAIR_NAMES, PAIRS, Heard, hear, meant
from tests.hostile.voices import CONTENT, END, FINISH, VOICES, WORDS, Event, Voice
from tests.scale import scaled

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
every_client_of_aws = pytest.mark.parametrize("client", ["chat", "responses", "messages"])


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
def test_invalid_utf_8_in_what_is_said(client: str, voice: Voice) -> None:
    for invalid in INVALID:
        events = voice.tell()
        place = next(number for number, event in enumerate(events) if WORDS[1].encode() in event.data)
        events[place] = Event(CONTENT, events[place].data.replace("🙂".encode(), invalid, 1), events[place].name)
        heard = hear(client, voice, [voice.frame(event) for event in events])
        assert isinstance(heard.failure, StreamMalformed) and heard.committed
        is_sound(client, heard)
        assert heard.reading(client).failure


@every_pair
def test_invalid_utf_8_in_what_nobody_reads(client: str, voice: Voice) -> None:
    """It must not be passed on: a client would fail at it. Where it is not, it does no harm."""
    for place, event in enumerate(voice.tell()):
        if event.data.startswith(b"{"):
            events, invalid = voice.tell(), INVALID[place % len(INVALID)]
            events[place] = Event(event.what, b'{"tomorrow":"' + invalid + b'",' + event.data[1:], event.name)
            heard = hear(client, voice, [voice.frame(event) for event in events])
            is_sound(client, heard)
            if client == voice.dialect:
                assert isinstance(heard.failure, StreamMalformed)


@every_pair
def test_invalid_utf_8_in_other_fields(client: str, voice: Voice) -> None:
    for field in (b": \xff\n\n", b"id: \xff\n\n", b"\xff: 1\n\n", b"event: \xff\ndata:\n\n"):
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
def test_half_a_character(client: str, voice: Voice) -> None:
    """It can be shown by nothing but the replacement character; all else is kept."""
    for half in HALVES:
        events = [
            Event(event.what, event.data.replace("🙂".encode(), half), event.name)
            if "🙂".encode() in event.data
            else event
            for event in voice.tell()
        ]
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


@settings(max_examples=scaled(1_200, 300), derandomize=True)
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
