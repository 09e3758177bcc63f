"""However a provider's events are cut into pieces and framed, what they say stays the same."""

from __future__ import annotations

import random

import pytest

from headgate.errors import StreamMalformed
from tests.conformance.meaning import differences
from tests.hostile.hearing import PAIR_NAMES, PAIRS, halves, hear, meant
from tests.hostile.voices import CONTENT, Event, Voice
from tests.wire.chunking import cut

IN_TEXT = [(pair, name) for pair, name in zip(PAIRS, PAIR_NAMES, strict=True) if pair[1].is_text]
every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
every_pair_in_text = pytest.mark.parametrize(
    ("client", "voice"), [pair for pair, _ in IN_TEXT], ids=[name for _, name in IN_TEXT]
)

NOISE = (
    b": OPENROUTER PROCESSING\n\n",
    b":\n\n",
    b"event: ping\n\n",
    b"data:\n\n",
    b"data: \n\n",
    b"data\n\n",
    b"event: \ndata:\n\n",
    b"id: 7\nretry: 3000\n\n",
    b"\n\n\n\n",
    b"nonsense\n\n",
)


def means_the_same(client: str, voice: Voice, stream: bytes, *pieces: bytes) -> None:
    """The client reads what the plain story says, and so does headgate."""
    plain = voice.stream(voice.tell())
    heard, expected = hear(client, voice, pieces or [stream]), hear(client, voice, [plain])
    assert heard.failure is None
    assert not differences(meant(client, voice, plain), heard.reading(client))
    assert (heard.usage, heard.texts, heard.content_events) == (
        expected.usage,
        expected.texts,
        expected.content_events,
    )


@every_pair
def test_the_plain_story(client: str, voice: Voice) -> None:
    means_the_same(client, voice, voice.stream(voice.tell()))


@every_pair
def test_split_at_every_byte(client: str, voice: Voice) -> None:
    stream = voice.stream(voice.tell())
    whole = hear(client, voice, [stream])
    for first, second in halves(stream):
        assert hear(client, voice, [first, second]) == whole, len(first)
    assert hear(client, voice, [stream[place : place + 1] for place in range(len(stream))]) == whole


@every_pair_in_text
@pytest.mark.parametrize("end", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
def test_other_line_ends_split_anywhere(client: str, voice: Voice, end: bytes) -> None:
    stream = voice.stream(voice.tell(), end)
    means_the_same(client, voice, stream)
    whole, chance = hear(client, voice, [stream]), random.Random(client)
    ends = [place for place in range(1, len(stream)) if stream[place - 1] in b"\r\n" or stream[place] in b"\r\n"]
    for place in ends:
        assert hear(client, voice, [stream[:place], stream[place:]]) == whole, place
    for _ in range(20):
        assert hear(client, voice, cut(stream, chance, pieces=9)) == whole


@every_pair_in_text
def test_line_ends_of_every_kind_in_one_stream(client: str, voice: Voice) -> None:
    ends = (b"\n", b"\r\n", b"\r")
    stream = b"".join(voice.frame(event, ends[number % 3]) for number, event in enumerate(voice.tell()))
    means_the_same(client, voice, stream)


@every_pair_in_text
def test_what_says_nothing_between_the_events(client: str, voice: Voice) -> None:
    for noise in NOISE:
        means_the_same(client, voice, noise + b"".join(voice.frame(event) + noise for event in voice.tell()))


@every_pair_in_text
def test_a_byte_order_mark_before_the_first_event(client: str, voice: Voice) -> None:
    """WHATWG HTML, section 9.2.5: one is taken away."""
    events = voice.tell()
    content = next(place for place, event in enumerate(events) if event.what == CONTENT)
    if voice.dialect in ("chat", "gemini"):
        events = events[content:]  # what announces nothing may be left out; the first event says something
    plain = hear(client, voice, [voice.stream(events)])
    heard = hear(client, voice, [b"\xef\xbb\xbf" + voice.stream(events)])
    assert heard.failure is None and heard.texts == plain.texts
    if client != voice.dialect:
        assert heard == plain


@every_pair_in_text
@pytest.mark.parametrize("colon", [b"data: ", b"data:"])
def test_data_in_several_lines(client: str, voice: Voice, colon: bytes) -> None:
    """A line break may stand wherever JSON has a space. The first line has none behind its colon."""

    def lines(event: Event) -> bytes:
        name = b"event: " + event.name.encode() + b"\n" if event.name else b""
        if event.data[:1] != b"{":
            return voice.frame(event)
        return name + b"data:{\n" + colon + event.data[1:-1] + b"\ndata: }\n\n"

    means_the_same(client, voice, b"".join(map(lines, voice.tell())))


@every_pair_in_text
def test_fields_in_any_order(client: str, voice: Voice) -> None:
    frames = [
        b"id: 1\ndata: " + event.data + b"\nretry: 5\n" + b"event: " + event.name.encode() + b"\n: said\n\n"
        for event in voice.tell()
    ]
    means_the_same(client, voice, b"".join(frames))


@every_pair
def test_events_of_tomorrow_anywhere(client: str, voice: Voice) -> None:
    events = voice.tell()
    for place in range(len(events)):
        means_the_same(client, voice, voice.stream([*events[:place], voice.unknown, *events[place:]]))


@every_pair
def test_members_of_tomorrow_everywhere(client: str, voice: Voice) -> None:
    new = {"tomorrow": {"a": [1, None, "\u2028"]}, "": "x" * 100}
    events = [
        Event(event.what, {**event.payload, **new} if isinstance(event.payload, dict) else event.payload, event.name)
        for event in voice.tell()
    ]
    means_the_same(client, voice, voice.stream(events))


@every_pair
def test_a_missing_last_line_end_loses_nothing(client: str, voice: Voice) -> None:
    if voice.is_text:
        for end in (b"", b"\n", b"\r\n"):
            means_the_same(client, voice, voice.stream(voice.tell()).rstrip() + end)


# --- giants ---


def giant(voice: Voice, size: int) -> tuple[bytes, bytes, bytes]:
    """The story up to its first content, an event of tomorrow of so many bytes, and the rest of the story."""
    events = voice.tell()
    place = next(number for number, event in enumerate(events) if event.what == CONTENT) + 1
    payload = dict(voice.unknown.payload, padding="x" * (size - 200))
    event = Event(voice.unknown.what, payload, voice.unknown.name)
    return voice.stream(events[:place]), voice.frame(event), voice.stream(events[place:])


@every_pair
def test_a_giant_event_below_the_bound_passes(client: str, voice: Voice) -> None:
    """In the pieces that a socket gives, it takes no longer than in one: nothing is looked at again and again."""
    before, event, after = giant(voice, 15_000_000)
    pieces = [event[place : place + 1_000] for place in range(0, len(event), 1_000)]
    means_the_same(client, voice, b"", before, *pieces, after)


@every_pair
def test_a_giant_event_above_the_bound_is_refused_before_it_is_whole(client: str, voice: Voice) -> None:
    before, event, _ = giant(voice, 33_000_000)
    heard = hear(client, voice, [before, event[:32_900_000]], ends=False)
    assert isinstance(heard.failure, StreamMalformed) and heard.committed
    assert heard.reading(client).failure
    assert len(heard.body) < 100_000
