"""Breakers and pools of keys, as requests through the corridor meet them."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import NoDeployment, UpstreamAuth, UpstreamBusy, UpstreamRejected
from headgate.gateway.fleet import AUTH_COOLDOWN_SECONDS, RATE_LIMIT_COOLDOWN_SECONDS, KeyPool
from headgate.policy.health import BreakerRules, Gate
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.scripted import SILENCE, ScriptedProvider, answer, fail, refuse, stream
from tests.wire.chunks import text

RULES = BreakerRules(failures=3, open_seconds=10.0)


def gate(corridor: Corridor, name: str = "up/model") -> Gate:
    return corridor.deployment(name).gate(corridor.clock.monotonic())


def test_a_breaker_opens_lets_one_probe_through_and_closes() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500), refuse(500), refuse(500), answer(seconds_before=1.0))
        corridor = Corridor(model(deployment(up, rules=RULES), retries=0))
        for _ in range(3):
            await corridor.visit(corridor.call(stream=False))
        assert gate(corridor) is Gate.OPEN
        assert isinstance((await corridor.visit()).error, NoDeployment) and len(up.asked) == 3
        await asyncio.sleep(10.0)
        assert gate(corridor) is Gate.HALF_OPEN
        visits = await asyncio.gather(*(corridor.visit(corridor.call(stream=False)) for _ in range(5)))
        assert [type(visit.error) for visit in visits] == [type(None)] + [NoDeployment] * 4
        assert len(up.asked) == 4, "one probe at a time"
        assert gate(corridor) is Gate.CLOSED

    run(scenario)


def test_a_failed_probe_keeps_it_open() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(refuse(500)), rules=RULES), retries=2))
        await corridor.visit()
        await asyncio.sleep(10.0)
        assert isinstance((await corridor.visit()).error, UpstreamRejected)
        assert gate(corridor) is Gate.OPEN

    run(scenario)


def test_a_probe_whose_client_leaves_says_nothing() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500), refuse(500), refuse(500), stream(text("a"), SILENCE), answer())
        corridor = Corridor(model(deployment(up, rules=RULES), retries=2))
        await corridor.visit()
        await asyncio.sleep(10.0)
        await corridor.visit(pieces=1)
        assert gate(corridor) is Gate.HALF_OPEN
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert gate(corridor) is Gate.CLOSED

    run(scenario)


def test_a_client_of_old_that_leaves_does_not_let_a_second_probe_through() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(
            stream(text("a"), SILENCE), refuse(500), refuse(500), refuse(500), answer(seconds_before=5.0)
        )
        corridor = Corridor(model(deployment(up, rules=RULES), retries=2, stall_seconds=100.0))
        old = asyncio.create_task(corridor.visit())
        await asyncio.sleep(0)
        await corridor.visit()
        await asyncio.sleep(10.0)
        probe = asyncio.create_task(corridor.visit(corridor.call(stream=False)))
        await asyncio.sleep(1.0)
        old.cancel()
        await asyncio.wait([old])
        assert gate(corridor) is Gate.OPEN, "the probe is still under way"
        await probe
        assert gate(corridor) is Gate.CLOSED

    run(scenario)


def test_retries_stop_when_the_breaker_opens() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500))
        corridor = Corridor(model(deployment(up, rules=RULES), retries=9))
        assert isinstance((await corridor.visit()).error, UpstreamRejected)
        assert len(up.asked) == 3

    run(scenario)


@pytest.mark.parametrize("status", [400, 404, 408, 409, 429])
def test_answers_below_500_say_nothing_of_its_health(status: int) -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(refuse(status)), rules=RULES), retries=0))
        for _ in range(5):
            await corridor.visit()
        assert gate(corridor) is Gate.CLOSED

    run(scenario)


def test_a_full_connection_pool_says_nothing_of_its_health() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(fail(UpstreamBusy("full"))), rules=RULES), retries=0))
        for _ in range(5):
            assert isinstance((await corridor.visit()).error, UpstreamBusy)
        assert gate(corridor) is Gate.CLOSED

    run(scenario)


# --- keys ---


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_rests_while_the_others_go_on(status: int) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(status), answer())
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        refused, used = up.asked[0].api_key, up.asked[1].api_key
        assert {refused, used} == {"a", "b"}
        for _ in range(3):
            await corridor.visit(corridor.call(stream=False))
        assert {asked.api_key for asked in up.asked[1:]} == {used}
        await asyncio.sleep(AUTH_COOLDOWN_SECONDS)
        for _ in range(2):
            await corridor.visit(corridor.call(stream=False))
        assert {asked.api_key for asked in up.asked[-2:]} == {"a", "b"}

    run(scenario)


def test_a_refused_key_is_the_operators_fault_and_never_shown() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(401, message="Incorrect API key provided: secret-key"))
        corridor = Corridor(model(deployment(up, keys=("secret-key",))))
        visit = await corridor.visit()
        assert isinstance(visit.error, UpstreamAuth) and visit.error.status == 502
        assert "secret-key" not in visit.error.message
        assert len(up.asked) == 1, "the same key would be refused again"
        assert "secret-key" not in repr(corridor.record)
        assert len(corridor.record.attempts[0].key_fingerprint) == 8

    run(scenario)


def test_a_key_with_its_quota_used_up_rests_as_long_as_the_provider_asks() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="20"), answer())
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert corridor.clock.monotonic() < 1, "the other key need not wait"
        resting = up.asked[0].api_key
        await asyncio.sleep(19.0 - corridor.clock.monotonic())
        for _ in range(2):
            await corridor.visit(corridor.call(stream=False))
        assert resting not in {asked.api_key for asked in up.asked[1:]}
        await asyncio.sleep(2.0)
        for _ in range(2):
            await corridor.visit(corridor.call(stream=False))
        assert resting in {asked.api_key for asked in up.asked[-2:]}

    run(scenario)


def test_when_every_key_rests_the_provider_is_waited_for() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="4"), refuse(429, retry_after="4"), answer())
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert up.asked[2].at - up.asked[1].at >= 4

    run(scenario)


def test_a_provider_in_trouble_is_waited_for_however_many_keys_there_are() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(503, retry_after="7"), answer())
        corridor = Corridor(model(deployment(up, keys=("a", "b", "c"))))
        await corridor.visit(corridor.call(stream=False))
        assert up.asked[1].at - up.asked[0].at >= 7

    run(scenario)


def test_what_no_repetition_changes_is_not_repeated_with_another_key() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(501))
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        await corridor.visit()
        assert len(up.asked) == 1

    run(scenario)


def test_a_pool_takes_turns_and_prefers_those_awake() -> None:
    pool = KeyPool(["a", "b", "c"])
    assert len(pool) == 3 and pool.awake(0.0) == 3
    assert sorted(pool.take(0.0) for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]
    pool.rest("b", 5.0)
    assert {pool.take(1.0) for _ in range(6)} == {"a", "c"} and pool.awake(1.0) == 2
    assert {pool.take(5.0) for _ in range(6)} == {"a", "b", "c"}


def test_when_all_rest_the_one_that_wakes_first_is_taken() -> None:
    pool = KeyPool(["a", "b"])
    pool.rest("a", 50.0)
    pool.rest("b", 20.0)
    assert pool.awake(1.0) == 0 and pool.take(1.0) == "b"
    pool.rest("b", 10.0)
    assert pool.awake(15.0) == 0, "a shorter rest does not end a longer one"


def test_a_pool_without_keys_sends_none() -> None:
    pool = KeyPool([])
    assert (pool.take(0.0), pool.fingerprint("")) == ("", "")


def test_a_fingerprint_tells_keys_apart_without_telling_them() -> None:
    pool = KeyPool(["sk-one", "sk-two"])
    assert pool.fingerprint("sk-one") != pool.fingerprint("sk-two")
    assert all(len(pool.fingerprint(key)) == 8 and key not in pool.fingerprint(key) for key in ("sk-one", "sk-two"))


def test_the_cooldown_without_a_word_of_the_provider() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429), answer())
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        await corridor.visit(corridor.call(stream=False))
        keys = corridor.deployment("up/model").keys
        assert keys.awake(RATE_LIMIT_COOLDOWN_SECONDS - 0.1) == 1
        assert keys.awake(RATE_LIMIT_COOLDOWN_SECONDS) == 2

    run(scenario)
