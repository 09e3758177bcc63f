"""Providers that fail inside a 200, through the real corridor: what the client gets, and what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from headgate.errors import StreamIncomplete
from headgate.policy import pricing
from headgate.types import Counted, Outcome, Usage
from tests.conformance.judging import READERS
from tests.conformance.meaning import Reading, differences
from tests.gateway.corridor import PRICE, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider, Step
from tests.hostile.hearing import PAIR_NAMES, PAIRS, call, dialogue, meant
from tests.hostile.voices import CONTENT, ERROR, TOKENS_IN, TOKENS_OUT, VOICES, Event, Voice

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
TOLD = Usage(input=TOKENS_IN, output=TOKENS_OUT, counted=Counted.REPORTED)
OTHER = {"chat": "gemini", "responses": "messages", "messages": "converse", "gemini": "chat", "converse": "responses"}
ENDS = {"chat": b"data: [DONE]\n\n", "responses": b"event: response.completed", "messages": b"event: message_stop"}


def first_content(events: Sequence[Event]) -> int:
    return next(number for number, event in enumerate(events) if event.what == CONTENT)


class Scene:
    """A client, a model whose provider has a voice, and another model, with another voice, that answers well."""

    def __init__(
        self, client: str, voice: Voice, *steps: Step, reply: Reply | None = None, fallback: bool = False
    ) -> None:
        self.client = client
        self.fallback = ("other",) if fallback else ()
        self.other = VOICES[OTHER[voice.dialect]]
        self.bad = self._provider(voice, reply or self._stream(voice, *steps))
        self.good = self._provider(self.other, self._stream(self.other, self.other.stream(self.other.tell())))
        self.voice = voice

    def corridor(self) -> Corridor:
        return Corridor(
            model(deployment(self.bad, "up/bad", api=self.voice.serves), retries=0, fallback=self.fallback),
            model(deployment(self.good, "up/good", api=self.other.serves), name="other"),
        )

    async def visit(self, corridor: Corridor, *, stream: bool = True) -> Visit:
        asked = call(self.client, stream=stream)
        return await corridor.visit(msgspec.structs.replace(asked, id=corridor.clock.new_id("req")))

    def reading(self, visit: Visit) -> Reading:
        return READERS[self.client].read_stream(visit.body.decode())

    def _provider(self, voice: Voice, reply: Reply) -> ScriptedProvider:
        return ScriptedProvider(reply, kind=voice.kind)

    def _stream(self, voice: Voice, *steps: Step) -> Reply:
        return Reply(steps, headers={"content-type": dialogue(self.client, voice).stream_type})


@every_pair
def test_an_error_before_the_first_content_is_another_deployments_matter(client: str, voice: Voice) -> None:
    """Anthropic's 200 and then `overloaded_error`; the client sees a clean stream."""
    events = voice.tell()
    for place in range(first_content(events) + 1):

        async def scenario(place: int = place) -> None:
            scene = Scene(client, voice, voice.stream([*events[:place], voice.error]), fallback=True)
            corridor = scene.corridor()
            visit = await scene.visit(corridor)
            story = scene.other.stream(scene.other.tell())
            assert visit.error is None
            assert not differences(meant(client, scene.other, story), scene.reading(visit))
            assert ERROR.encode() not in visit.body
            record = corridor.record
            assert (record.outcome, record.status, record.deployment, record.usage) == ("done", 200, "up/good", TOLD)
            assert record.cost_picousd == pricing.cost_picousd(TOLD, PRICE)
            assert [(attempt.outcome, attempt.error, attempt.cost_picousd) for attempt in record.attempts] == [
                ("failed", "stream_failed", 0),
                ("done", "", record.cost_picousd),
            ]
            assert corridor.at_rest()

        run(scenario)


@every_pair
def test_an_error_before_the_first_content_and_nobody_else(client: str, voice: Voice) -> None:
    async def scenario() -> None:
        scene = Scene(client, voice, voice.frame(voice.error))
        corridor = scene.corridor()
        visit = await scene.visit(corridor)
        assert visit.error is not None and ERROR in visit.error.message and visit.error.should_retry
        assert (visit.pieces, corridor.record.outcome, corridor.record.status) == ([], "failed", 502)
        assert (corridor.record.usage, corridor.record.cost_picousd) == (Usage(), 0)
        assert corridor.at_rest()

    run(scenario)


@every_pair
@pytest.mark.parametrize("cut", [False, True], ids=["told", "cut"])
def test_an_error_after_the_first_content_is_told_in_the_clients_dialect(client: str, voice: Voice, cut: bool) -> None:
    """And what was said until then is booked: as far as the provider counted it, else by counting."""
    events = voice.tell()
    for place in range(first_content(events) + 1, len(events) - 2):

        async def scenario(place: int = place) -> None:
            last: Step = StreamIncomplete("cut") if cut else voice.frame(voice.error)
            steps = (voice.stream(events[:place]), last, voice.stream(events[place:]))
            scene = Scene(client, voice, *steps, fallback=True)
            corridor = scene.corridor()
            visit = await scene.visit(corridor)
            assert visit.error is None and not scene.good.asked
            failure = scene.reading(visit).failure
            assert ("cut" if cut else ERROR) in failure
            assert ENDS[client] not in visit.body
            record = corridor.record
            expected = "stream_incomplete" if cut else "stream_failed"
            assert (record.outcome, record.error, record.usage.counted) == ("failed", expected, Counted.ESTIMATED)
            assert record.usage.input > 0 and record.usage.output > 0
            assert record.cost_picousd == pricing.cost_picousd(record.usage, PRICE) > 0
            assert len(record.attempts) == 1 and corridor.at_rest()

        run(scenario)


@every_pair
def test_a_good_story_is_booked_as_it_was_told(client: str, voice: Voice) -> None:
    async def scenario() -> None:
        stream = voice.stream(voice.tell())
        scene = Scene(client, voice, *(stream[place : place + 99] for place in range(0, len(stream), 99)))
        corridor = scene.corridor()
        visit = await scene.visit(corridor)
        assert not differences(meant(client, voice, stream), scene.reading(visit))
        assert (corridor.record.outcome, corridor.record.usage) == (Outcome.DONE, TOLD)
        assert corridor.record.cost_picousd == pricing.cost_picousd(TOLD, PRICE)
        assert corridor.at_rest()

    run(scenario)


OTHER_BODIES = (
    b'{"type":"error","error":{"type":"overloaded_error","message":"%b"},"message":"%b"}',
    b'{"error":{"message":"%b","code":503}}',
    b"<html><body>%b</body></html>",
    b'{"error":{"message":"%b"',
    *(b"null", b"[]", b"{}", b""),
)


@every_pair
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/event-stream", ""])
def test_another_body_than_was_asked_for(client: str, voice: Voice, stream: bool, kind: str) -> None:
    """Whatever it is called, it is a failure that costs nothing."""

    async def scenario() -> None:
        for body in OTHER_BODIES:
            reply = Reply([body.replace(b"%b", ERROR.encode())], headers={"content-type": kind})
            scene = Scene(client, voice, reply=reply)
            corridor = scene.corridor()
            visit = await scene.visit(corridor, stream=stream)
            assert visit.error is not None and not visit.pieces, body
            record = corridor.record
            assert (record.outcome, record.usage, record.cost_picousd) == ("failed", Usage(), 0)
            assert record.status == 502 and record.error in ("stream_failed", "stream_malformed", "upstream_empty")
            assert corridor.at_rest()

    run(scenario)


@every_pair
def test_a_stream_answered_to_a_plain_request(client: str, voice: Voice) -> None:
    async def scenario() -> None:
        scene = Scene(client, voice, voice.stream(voice.tell()))
        visit = await scene.visit(scene.corridor(), stream=False)
        assert visit.error is not None and visit.error.code == "stream_malformed"

    run(scenario)


@every_pair
def test_a_whole_answer_to_a_request_for_a_stream(client: str, voice: Voice) -> None:
    async def scenario() -> None:
        scene = Scene(client, voice, reply=Reply([b'{"choices": [], "content": []}'], headers=JSON))
        corridor = scene.corridor()
        visit = await scene.visit(corridor)
        assert visit.error is not None and visit.error.code == "stream_malformed"
        assert corridor.record.outcome == "failed"

    run(scenario)
