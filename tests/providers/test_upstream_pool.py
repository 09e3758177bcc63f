"""The pool of one endpoint: reuse, bound, turns, expiry, stale connections, closing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine

import pytest

from headgate.errors import StreamIncomplete, UpstreamBusy, UpstreamUnreachable
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import Pool, PoolSettings
from headgate.providers.upstream.target import parse_target
from headgate.sim.loop import run_virtual
from tests.providers.loopback import JSON_ANSWER, Peer, Server, answering, serving
from tests.providers.wire import Wired

OnEachLoop = Callable[[Coroutine[None, None, None]], None]
DEFAULTS = PoolSettings()


def request(number: int = 0) -> bytes:
    body = str(number).encode()
    return b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def pool_for(server: Server, settings: PoolSettings = DEFAULTS) -> Pool:
    return Pool(parse_target(server.url), Connector(ConnectSettings()), settings)


async def ask(pool: Pool, number: int = 0) -> bytes:
    return await drain(await pool.send(request(number)))


async def drain(response: Response) -> bytes:
    pieces = []
    try:
        while piece := await response.read():
            pieces.append(piece)
    finally:
        response.close()
    return b"".join(pieces)


async def some_rounds() -> None:
    """Let everything that can go on without the other side go on."""
    for _ in range(20):
        await asyncio.sleep(0)


class Gated:
    """A server that answers a request when the test says so. `began` has the requests' bodies in order of arrival."""

    def __init__(self) -> None:
        self.began: asyncio.Queue[bytes] = asyncio.Queue()
        self.permits = asyncio.Semaphore(0)
        self.gone: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, peer: Peer) -> None:
        try:
            while True:
                _, body = await peer.request()
                self.began.put_nowait(body)
                await self.permits.acquire()
                await peer.send(JSON_ANSWER)
        finally:
            self.gone.put_nowait(None)


def test_connections_are_reused_the_youngest_first(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            pool = pool_for(server)
            for _ in range(5):
                await ask(pool)
            assert len(server.peers) == 1
            first, second = await pool.send(request()), await pool.send(request())
            await drain(first)
            await drain(second)
            for _ in range(3):
                await ask(pool)
            assert [len(peer.requests) for peer in server.peers] == [6, 4]
            pool.close()

    on_each_loop(scenario())


def test_no_more_connections_than_allowed_and_turns_in_order_of_asking(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        gated = Gated()
        async with serving(gated) as server:
            pool = pool_for(server, PoolSettings(max_connections=2))
            asking = []
            for number in range(12):
                asking.append(asyncio.ensure_future(ask(pool, number)))
                await some_rounds()
            began = [await gated.began.get() for _ in range(2)]
            for _ in range(10):
                gated.permits.release()
                began.append(await gated.began.get())
            assert sorted(began[:2]) + began[2:] == [str(number).encode() for number in range(12)]
            gated.permits.release()
            gated.permits.release()
            await asyncio.gather(*asking)
            assert len(server.peers) == 2
            pool.close()

    on_each_loop(scenario())


def test_who_stops_waiting_takes_no_turn(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        gated = Gated()
        async with serving(gated) as server:
            pool = pool_for(server, PoolSettings(max_connections=1))
            asking = [asyncio.ensure_future(ask(pool, number)) for number in range(4)]
            assert await gated.began.get() == b"0"
            asking[1].cancel()
            await asyncio.gather(asking[1], return_exceptions=True)
            asking[2].cancel()  # cancelled, but not yet run, when its turn comes
            gated.permits.release()
            assert await gated.began.get() == b"3"
            gated.permits.release()
            assert await asking[0]
            assert await asking[3]
            pool.close()
            assert pool.unused

    on_each_loop(scenario())


@pytest.mark.parametrize("answer", [JSON_ANSWER, JSON_ANSWER[:-1]], ids=["a connection", "the slot of a lost one"])
def test_a_turn_given_in_the_instant_of_cancelling_goes_to_the_next(answer: bytes, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(answering(answer, JSON_ANSWER)) as server:
            pool = pool_for(server, PoolSettings(max_connections=1))
            held = await pool.send(request())
            cancelled = asyncio.ensure_future(ask(pool))
            patient = asyncio.ensure_future(pool.send(request()))
            await some_rounds()
            assert await held.read()
            held.close()
            cancelled.cancel()
            assert (await patient).status == 200
            assert cancelled.cancelled()
            (await patient).close()
            pool.close()
            assert pool.unused

    on_each_loop(scenario())


def test_a_failed_connection_frees_its_slot_for_the_next(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            pass  # nobody listens on this port any more
        pool = pool_for(server, PoolSettings(max_connections=1))
        failures = await asyncio.gather(*(ask(pool) for _ in range(5)), return_exceptions=True)
        assert [type(failure) for failure in failures] == [UpstreamUnreachable] * 5
        assert pool.unused

    on_each_loop(scenario())


def test_an_idle_connection_closed_by_the_other_side_is_forgotten(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async def handler(peer: Peer) -> None:
            await peer.request()
            await peer.send(JSON_ANSWER)

        async with serving(handler) as server:
            pool = pool_for(server)
            for _ in range(3):
                await ask(pool)
                await server.peers[-1].gone()
                await some_rounds()
                assert pool.unused
            assert len(server.peers) == 3

    on_each_loop(scenario())


def test_a_stale_connection_is_replaced_and_its_elders_are_closed(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        elders_gone: asyncio.Queue[Peer] = asyncio.Queue()

        async def handler(peer: Peer) -> None:
            await peer.request()
            await peer.send(JSON_ANSWER)
            number = server.peers.index(peer)
            if number == 2:
                await peer.request()  # taken, and not answered
                peer.reset()
            elif number < 2:
                await peer.gone()
                elders_gone.put_nowait(peer)
            else:
                await answering(JSON_ANSWER)(peer)

        async with serving(handler) as server:
            pool = pool_for(server)
            for response in [await pool.send(request()) for _ in range(3)]:
                await drain(response)
            assert await ask(pool, 7) == b'{"ok":true}'
            assert [body for _, body in server.peers[2].requests] == [b"0", b"7"]
            assert [body for _, body in server.peers[3].requests] == [b"7"]
            assert {await elders_gone.get(), await elders_gone.get()} == set(server.peers[:2])
            assert await ask(pool) == b'{"ok":true}'
            assert len(server.peers) == 4
            pool.close()

    on_each_loop(scenario())


@pytest.mark.parametrize("beginning", [b"", b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_only_a_kept_connection_closed_without_a_byte_is_replaced(beginning: bytes, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async def handler(peer: Peer) -> None:
            await peer.request()
            if beginning:
                await peer.send(JSON_ANSWER)
                await peer.request()
                await peer.send(beginning)

        async with serving(handler) as server:
            pool = pool_for(server)
            if beginning:
                await ask(pool)
            with pytest.raises(StreamIncomplete, match="before it answered"):
                await ask(pool)
            assert len(server.peers) == 1
            assert pool.unused

    on_each_loop(scenario())


def test_a_replacement_is_made_once(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async def handler(peer: Peer) -> None:
            await peer.request()
            if len(server.peers) == 1:
                await peer.send(JSON_ANSWER)
                await peer.request()

        async with serving(handler) as server:
            pool = pool_for(server)
            await ask(pool)
            with pytest.raises(StreamIncomplete):
                await ask(pool)
            assert len(server.peers) == 2
            assert pool.unused

    on_each_loop(scenario())


def test_a_closed_pool_finishes_refuses_and_lets_go(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        gated = Gated()
        async with serving(gated) as server:
            pool = pool_for(server, PoolSettings(max_connections=2))
            gated.permits.release()
            await ask(pool)
            busy = [asyncio.ensure_future(ask(pool, number)) for number in range(2)]
            waiting = asyncio.ensure_future(ask(pool))
            for _ in range(3):
                await gated.began.get()
            pool.close()
            for refused in (waiting, ask(pool)):
                with pytest.raises(UpstreamUnreachable, match="has closed its connections"):
                    await refused
            gated.permits.release()
            gated.permits.release()
            assert await asyncio.gather(*busy) == [b'{"ok":true}'] * 2
            for _ in range(2):
                await gated.gone.get()
            assert pool.unused

    on_each_loop(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_cancelled_and_whenever_nothing_leaks(seed: int, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        chance = random.Random(seed)

        async def handler(peer: Peer) -> None:
            while chance.random() < 0.8:
                await peer.request()
                await peer.send(JSON_ANSWER)
            await peer.request()
            await peer.send(JSON_ANSWER[: chance.randrange(len(JSON_ANSWER))])

        async with serving(handler) as server:
            pool = pool_for(server, PoolSettings(max_connections=3))
            asking = [asyncio.ensure_future(ask(pool, number)) for number in range(300)]
            while not all(task.done() for task in asking):
                chance.choice(asking).cancel()
                for _ in range(chance.randrange(8)):
                    await asyncio.sleep(0)
            outcomes = {type(outcome) for outcome in await asyncio.gather(*asking, return_exceptions=True)}
            assert outcomes <= {bytes, asyncio.CancelledError, StreamIncomplete}
            pool.close()
            assert pool.unused

    on_each_loop(scenario())


# --- in virtual time -------------------------------------------------------------------------------------------------

ANSWERED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def wired_pool(settings: PoolSettings) -> tuple[Pool, Wired]:
    connector = Wired(ConnectSettings(connect_seconds=5.0))
    return Pool(parse_target("http://wired:1"), connector, settings), connector


async def begin(pool: Pool, connector: Wired, number: int) -> Response:
    """A request on connection `number`, answered and not yet closed."""
    sending = asyncio.ensure_future(pool.send(request()))
    await some_rounds()
    connector.opened[number].data_received(ANSWERED)
    response = await sending
    assert await response.read() == b"{}"
    return response


def test_an_idle_connection_is_closed_after_its_time_and_not_before() -> None:
    async def scenario() -> None:
        pool, connector = wired_pool(PoolSettings(keep_alive_seconds=60.0))
        older, younger = await begin(pool, connector, 0), await begin(pool, connector, 1)
        older.close()
        await asyncio.sleep(59.0)
        younger.close()
        assert not connector.opened[0].closed
        await asyncio.sleep(1.0)
        assert connector.opened[0].closed
        await asyncio.sleep(58.9)
        assert not connector.opened[1].closed
        await asyncio.sleep(0.2)
        assert connector.opened[1].closed
        assert pool.unused
        (await begin(pool, connector, 2)).close()
        await asyncio.sleep(60.0)
        assert pool.unused

    run_virtual(scenario())


def test_a_connection_too_old_is_not_taken_even_if_the_timer_is_late() -> None:
    async def scenario() -> None:
        pool, connector = wired_pool(PoolSettings(keep_alive_seconds=0.0))
        (await begin(pool, connector, 0)).close()
        (await begin(pool, connector, 1)).close()  # asked in the same instant: no timer has run
        assert connector.opened[0].closed
        pool.close()

    run_virtual(scenario())


def test_a_full_pool_says_which_setting_bounds_it() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        pool, connector = wired_pool(PoolSettings(max_connections=1, max_waiting=1))
        held = await begin(pool, connector, 0)
        given_up = asyncio.ensure_future(pool.send(request()))
        await some_rounds()
        with pytest.raises(
            UpstreamBusy, match=r"All 1 connections to wired:1 .* 1 requests are waiting .*max_connections"
        ):
            await pool.send(request())
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        with pytest.raises(UpstreamBusy, match=r"within connect_seconds \(5\).*max_connections"):
            await pool.send(request())
        assert loop.time() == 5.0
        held.close()
        (await begin(pool, connector, 0)).close()
        pool.close()

    run_virtual(scenario())
