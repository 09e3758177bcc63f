"""A stream that breaks off, or tells of an error, never ends as a success; one that goes on after its end is cut there.

"Complete" is house rule 9: a finish reason for every choice, and the dialect's own end where it has one.
"""

from __future__ import annotations

import pytest

from headgate.errors import MAX_MESSAGE_CHARACTERS, StreamFailed, StreamIncomplete, UpstreamEmpty
from headgate.types import Counted, Usage
from tests.conformance.meaning import differences
from tests.hostile.hearing import PAIR_NAMES, PAIRS, Heard, hear, meant
from tests.hostile.voices import CONTENT, END, ERROR, FINISH, QUIET, TOKENS_IN, TOKENS_OUT, USAGE, WORDS, Event, Voice

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)

# The event that makes a stream complete: what comes after it may be missing.
DECIDES = {"chat": FINISH, "responses": END, "messages": END, "gemini": END, "converse": FINISH}
SUCCESSES = {"chat": b"data: [DONE]", "responses": b"event: response.completed", "messages": b"event: message_stop"}
TOLD = Usage(input=TOKENS_IN, output=TOKENS_OUT, counted=Counted.REPORTED)


def decision(voice: Voice) -> int:
    """The number of the event that completes the story."""
    return next(number for number, event in enumerate(voice.tell()) if event.what == DECIDES[voice.dialect])


def first_content(voice: Voice) -> int:
    return next(number for number, event in enumerate(voice.tell()) if event.what == CONTENT)


def is_a_failure(client: str, heard: Heard) -> None:
    """The client is told, in its dialect, and not that all went well."""
    assert heard.failure is not None
    assert heard.reading(client).failure
    assert SUCCESSES[client] not in heard.body


# --- cut ---


@every_pair
def test_cut_at_every_byte(client: str, voice: Voice) -> None:
    """With a clean end of the HTTP message, which is the worst of cuts."""
    events = voice.tell()
    stream = voice.stream(events)
    decided = voice.stream(events[: decision(voice) + 1])
    complete = len(decided.rstrip()) if voice.is_text else len(decided)  # the last blank line may be missing
    whole = meant(client, voice, stream)
    whole.tokens = None  # its event may be lost
    for length in range(len(stream)):
        heard = hear(client, voice, [stream[:length]])
        if length < complete:
            is_a_failure(client, heard)
        elif heard.failure is None:
            assert not differences(whole, heard.reading(client)), length
        else:
            is_a_failure(client, heard)


@every_pair
@pytest.mark.parametrize("rest", [b"", b"data: [DONE]\n\n"], ids=["", "and DONE"])
def test_without_the_event_that_completes_it(client: str, voice: Voice, rest: bytes) -> None:
    events = voice.tell()
    del events[decision(voice)]
    if voice.is_text or not rest:
        is_a_failure(client, hear(client, voice, [voice.stream(events), rest]))


@every_pair
def test_nothing_at_all(client: str, voice: Voice) -> None:
    starts = voice.tell()[: first_content(voice)]
    for stream in (b"", voice.stream(starts), voice.stream([voice.unknown])):
        heard = hear(client, voice, [stream])
        assert isinstance(heard.failure, UpstreamEmpty | StreamIncomplete) and not heard.committed


PAGES = (
    b"<!doctype html><html><body>\n\n<h1>502 Bad Gateway</h1>\n\n</body></html>\n",
    b"<html>\r\n<head><title>503</title></head>\r\n\r\n<body>data: [DONE]</body></html>",
    b'{"error": {"message": "not here"}}',
    b"upstream connect error or disconnect/reset before headers",
    *(b"\x00" * 100, b"\xff\xfe\n\n" * 10),
)


@every_pair
def test_another_page(client: str, voice: Voice) -> None:
    for page in PAGES:
        heard = hear(client, voice, [page])
        assert heard.failure is not None and not heard.committed and heard.usage is None, page


# --- errors inside a 200 ---


@every_pair
def test_an_error_at_any_place(client: str, voice: Voice) -> None:
    """Before the first content another deployment may be asked; after it the client is told. Whatever follows."""
    events = voice.tell()
    for place in range(decision(voice)):
        for rest in ([], events[place:]):
            heard = hear(client, voice, [voice.stream([*events[:place], voice.error, *rest])])
            assert isinstance(heard.failure, StreamFailed) and ERROR in heard.failure.message
            assert heard.committed == (place > first_content(voice))
            is_a_failure(client, heard)
            assert ERROR in heard.reading(client).failure


@every_pair
def test_an_error_between_the_last_word_and_the_end(client: str, voice: Voice) -> None:
    events = voice.tell()
    at = next((number for number, event in enumerate(events) if event.what == FINISH), decision(voice) - 1) + 1
    heard = hear(client, voice, [voice.stream([*events[:at], voice.error, *events[at:]])])
    is_a_failure(client, heard)


@every_pair
def test_an_error_of_many_words(client: str, voice: Voice) -> None:
    text = repr(voice.error.payload).replace(ERROR, "x" * 3_000_000)
    error = Event(voice.error.what, eval(text), voice.error.name)
    heard = hear(client, voice, [voice.stream([*voice.tell()[:4], error])])
    is_a_failure(client, heard)
    assert heard.failure is not None and len(heard.failure.message) <= MAX_MESSAGE_CHARACTERS
    assert len(heard.body) < 20_000


# --- after the end ---


@every_pair
def test_a_second_end(client: str, voice: Voice) -> None:
    events = voice.tell()
    plain = hear(client, voice, [voice.stream(events)])
    heard = hear(client, voice, [voice.stream([*events, events[-1]])])
    assert heard.failure is None
    assert not differences(plain.reading(client), heard.reading(client))
    assert heard.body.count(SUCCESSES[client]) == plain.body.count(SUCCESSES[client])
    assert heard.usage == plain.usage


@every_pair
def test_content_after_the_end_is_not_told(client: str, voice: Voice) -> None:
    """Gemini has no end but the last finish reason."""
    events = voice.tell()
    said = [event for event in events if event.what in (CONTENT, QUIET)]
    plain, heard = hear(client, voice, [voice.stream(events)]), hear(client, voice, [voice.stream([*events, *said])])
    if voice.dialect == "gemini":
        assert heard.failure is None
    else:
        assert heard == plain


@every_pair
def test_the_whole_story_twice(client: str, voice: Voice) -> None:
    events = voice.tell()
    heard = hear(client, voice, [voice.stream([*events, *events])])
    if voice.dialect != "gemini":
        assert heard == hear(client, voice, [voice.stream(events)])


# --- usage ---


def without_usage(value: object) -> object:
    """JSON without any member that counts tokens."""
    if isinstance(value, list):
        return [without_usage(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_usage(member) for name, member in value.items() if name not in ("usage", "usageMetadata")}


@every_pair
def test_usage_that_is_missing(client: str, voice: Voice) -> None:
    """Then what was said is kept, to count it."""
    events = [event for event in voice.tell() if event.what != USAGE]
    events = [Event(event.what, without_usage(event.payload), event.name) for event in events]
    plain, heard = hear(client, voice, [voice.stream(voice.tell())]), hear(client, voice, [voice.stream(events)])
    assert heard.failure is None
    assert (heard.usage, heard.usage_so_far) == (None, None)
    assert heard.texts == plain.texts and "".join(WORDS) in heard.texts
    if client != voice.dialect:  # what is passed on lacks it too
        expected = plain.reading(client)
        expected.tokens = None
        assert not differences(expected, heard.reading(client))


def metered(voice: Voice, **counts: int) -> Event:
    """Other figures of the story so far, as an event that says nothing else."""
    tokens_in, tokens_out = counts["tokens_in"], counts["tokens_out"]
    openai = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    anthropic = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    google = {"promptTokenCount": tokens_in, "candidatesTokenCount": tokens_out}
    amazon = {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out}
    delta = {"stop_reason": None}
    return {
        "chat": Event(USAGE, {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m",
                              "choices": [], "usage": openai}),
        "responses": Event(USAGE, {"type": "response.in_progress", "response": {"id": "resp_1", "usage": anthropic}},
                           "response.in_progress"),
        "messages": Event(USAGE, {"type": "message_delta", "delta": delta, "usage": anthropic}, "message_delta"),
        "gemini": Event(USAGE, {"candidates": [], "usageMetadata": google, "responseId": "r1"}),
        "converse": Event(USAGE, {"usage": amazon}, "metadata"),
    }[voice.dialect]  # fmt: skip


def saying(voice: Voice, usage: Event) -> bytes:
    """The story with this usage alone, told just before its end."""
    events = [event for event in voice.tell() if event.what != USAGE]
    events = [Event(event.what, without_usage(event.payload), event.name) for event in events]
    if voice.dialect == "responses":  # it believes the end alone
        events[-1].payload["response"]["usage"] = usage.payload["response"]["usage"]
        return voice.stream(events)
    place = decision(voice)
    return voice.stream([*events[:place], usage, *events[place:]])


@every_pair
def test_the_last_usage_counts(client: str, voice: Voice) -> None:
    """Some tell it with every event, each time more."""
    events, told = voice.tell(), [metered(voice, tokens_in=TOKENS_IN, tokens_out=number) for number in range(1, 5)]
    for place in range(1, decision(voice)):
        heard = hear(client, voice, [voice.stream([*events[:place], *told, *events[place:]])])
        assert (heard.failure, heard.usage) == (None, TOLD)
        if client != "responses" or voice.dialect != "responses":
            assert not differences(meant(client, voice, voice.stream(events)), heard.reading(client))


@every_pair
def test_usage_before_a_break_is_what_is_known(client: str, voice: Voice) -> None:
    events, place = voice.tell(), first_content(voice) + 2
    told = metered(voice, tokens_in=TOKENS_IN, tokens_out=5)
    heard = hear(client, voice, [voice.stream([*events[:place], told, voice.error])])
    assert isinstance(heard.failure, StreamFailed)
    if voice.dialect != "responses":  # the API tells it only at the end
        known = heard.usage or heard.usage_so_far
        assert known is not None and (known.input, known.output) == (TOKENS_IN, 5)


@every_pair
def test_usage_that_no_model_can_have_is_not_believed(client: str, voice: Voice) -> None:
    """It would make sums of money that no database can hold."""
    for tokens_in, tokens_out in ((10**10, 1), (1, 10**10), (2**63, 1), (1, 2**63), (10**30, 1), (1, 10**30)):
        heard = hear(client, voice, [saying(voice, metered(voice, tokens_in=tokens_in, tokens_out=tokens_out))])
        assert heard.failure is None
        assert (heard.usage, heard.usage_so_far) == (None, None)


@every_pair
def test_usage_below_nothing_is_nothing(client: str, voice: Voice) -> None:
    heard = hear(client, voice, [saying(voice, metered(voice, tokens_in=-5, tokens_out=-7))])
    assert heard.failure is None
    for known in (heard.usage, heard.usage_so_far):
        assert known is None or (known.input, known.output) == (0, 0)
