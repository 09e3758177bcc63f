"""Providers' batch APIs on a bad day: they take batches and answer 500, list them late, run out of time, and tell the
test at each step who is asking, so that it can kill just that process. They count every line that they did."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.faults.upstream import message
from tests.providers.batch_vendor import AnthropicVendor, Batch, Call, OpenAIVendor, chat_answer
from tests.providers.loopback import Gone, Peer, header, serving

LATE_SECONDS = 2.5  # until a batch is in the list, at worst: longer than a lookup waits
RUN_SECONDS = 1.2  # at most, of a batch that nobody stops
FOREIGN = "foreign"  # of another program with the same account

Told = Callable[[str, str], bool]  # of a moment and the process that asks; whether it was killed


class Trouble:
    """What goes wrong, by chance, and what was done all the same."""

    def __init__(self, seed: int, told: Told) -> None:
        self.chance = random.Random(seed)
        self.told = told
        self.happened: Counter[str] = Counter()
        self.answered_live: Counter[str] = Counter()

    def happens(self, what: str, share: float) -> bool:
        found = self.chance.random() < share
        self.happened[what] += found
        return found


class Clerk:
    """One vendor with its trouble. `vendor` knows the API."""

    def __init__(self, vendor: OpenAIVendor | AnthropicVendor, trouble: Trouble) -> None:
        self.vendor, self._trouble = vendor, trouble
        self._fates: dict[str, tuple[float, float, str]] = {}  # listed at, over at, how
        self._is_openai = isinstance(vendor, OpenAIVendor)
        vendor.add = self._add  # type: ignore[method-assign]
        vendor.view = self._view(vendor.view)  # type: ignore[method-assign]

    def done(self) -> Counter[str]:
        """Lines that were answered, each to be paid for, by their ids."""
        self._go_on()
        return Counter(
            custom_id
            for batch in self.vendor.batches
            for custom_id, prompt in batch.requests
            if batch.name != FOREIGN and self.vendor.fate(batch, prompt) == "done"
        )

    @property
    def is_over(self) -> bool:
        self._go_on()
        return all(batch.state not in ("running", "cancelling") for batch in self.vendor.batches)

    async def serve(self, peer: Peer) -> None:
        """All requests of one connection."""
        while True:
            head, body = await peer.request()
            method, target, _ = head.split(" ", 2)
            url = urlsplit(target)
            pairs = (line.lower().partition(": ") for line in head.split("\r\n")[1:] if line)
            call = Call(method, url.path, parse_qs(url.query), {name: value for name, _, value in pairs}, body)
            status, answer = await self._answer(call, header(head, "x-process") or "")
            if isinstance(answer, bytes):
                await peer.send(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(answer), answer))
            else:
                await peer.send(message(status, answer))

    async def _answer(self, call: Call, process: str) -> tuple[int, Any]:
        trouble, vendor = self._trouble, self.vendor
        if call.path.endswith(("/chat/completions", "/messages")):
            return await self._live(call)
        self._go_on()
        submits = call.method == "POST" and call.path.endswith("/batches")
        await self._tell("before" if submits else "upload" if call.path.endswith("/files") else "poll", process)
        if submits and trouble.happens("refused", 0.1):
            return 500, {"error": {"message": "not today", "type": "server_error"}}
        if not submits and trouble.happens("unavailable", 0.05):
            return 503, {"error": {"message": "not now", "type": "server_error"}}
        if call.method == "GET" and call.path.endswith("/batches"):
            answer = self._listed(call)
        else:
            status, answer = vendor.handle(call)
            if call.method == "DELETE":
                return status, answer  # what was half done is not there any more
            assert status == 200
        await asyncio.sleep(trouble.chance.uniform(0, 0.03))
        if call.path.endswith(("/results", "/content")):
            lines = bytes(answer).split(b"\n")
            trouble.chance.shuffle(lines)
            await self._tell("fetched", process)
            return 200, b"\n".join(lines)
        if submits:
            await self._tell("accepted", process)
            if trouble.happens("accepted and 500", 0.3):
                return 500, {"error": {"message": "who knows", "type": "server_error"}}
        return 200, answer

    async def _live(self, call: Call) -> tuple[int, Any]:
        prompt = str(json.loads(call.body)["messages"][-1]["content"])
        await asyncio.sleep(0.01)
        if "fail 400" in prompt:
            return 400, {"error": {"message": "no", "type": "invalid_request_error"}}
        self._trouble.answered_live[prompt] += 1
        if self._is_openai:
            return 200, chat_answer(prompt)
        content = [{"type": "text", "text": f"about {prompt}"}]
        usage = {"input_tokens": 10, "output_tokens": 5}
        return 200, {"id": "msg_1", "type": "message", "role": "assistant", "model": "theirs", "content": content,
                     "stop_reason": "end_turn", "usage": usage}  # fmt: skip

    async def _tell(self, moment: str, process: str) -> None:
        """The process may be killed now, or in a moment."""
        if self._trouble.told(moment, process):
            await asyncio.sleep(0)
            raise Gone

    # --- batches ---

    def _add(self, name: str, requests: list[tuple[str, str]]) -> Batch:
        trouble, now = self._trouble, time.time()
        late = LATE_SECONDS * trouble.happens("listed late", 0.25)
        how = "expired" if trouble.happens("expired", 0.2) else "ended"
        batch = self._enter(name, requests, late, how)
        if not self._is_openai and trouble.happens("another of the same size", 0.4):
            others = [(f"other_{now}_{number}", "theirs") for number in range(len(requests))]
            self._enter(FOREIGN, others, 0.0, "ended")
        return batch

    def _enter(self, name: str, requests: list[tuple[str, str]], late: float, how: str) -> Batch:
        now = time.time()
        batch = Batch(f"batch_{len(self.vendor.batches) + 1}", name, requests, now)
        self.vendor.batches.append(batch)
        self._fates[batch.id] = now + late, now + self._trouble.chance.uniform(0.2, RUN_SECONDS), how
        return batch

    def _go_on(self) -> None:
        """Batches end when their time has come; those that were stopped have done a part by then."""
        now = time.time()
        for batch in self.vendor.batches:
            assert batch.name != FOREIGN or batch.state != "cancelling", "another program's batch was stopped"
            _, over_at, how = self._fates[batch.id]
            if batch.state == "cancelling" or (batch.state == "running" and now >= over_at):
                batch.state = "cancelled" if batch.state == "cancelling" else how

    def _listed(self, call: Call) -> Any:
        batches = self.vendor.batches
        self.vendor.batches = [one for one in batches if self._fates[one.id][0] <= time.time()]
        try:
            return self.vendor.handle(call)[1]
        finally:
            self.vendor.batches = batches

    def _view(self, plain: Callable[[Batch], dict[str, Any]]) -> Callable[[Batch], dict[str, Any]]:
        def view(batch: Batch) -> dict[str, Any]:
            made_at = batch.created_at if self._is_openai else datetime.fromtimestamp(batch.created_at, UTC).isoformat()
            return {**plain(batch), "created_at": made_at}

        return view


@contextlib.asynccontextmanager
async def two_vendors(seed: int, told: Told) -> AsyncIterator[tuple[dict[str, tuple[int, Clerk]], Trouble]]:
    """One of each kind: its port and what it knows."""
    trouble = Trouble(seed, told)
    openai = OpenAIVendor()
    openai.listed_at_once = 100  # as many as are asked for: who looks for a batch does not turn pages for ever
    clerks = {"openai": Clerk(openai, trouble), "anthropic": Clerk(AnthropicVendor(), trouble)}
    async with serving(clerks["openai"].serve) as first, serving(clerks["anthropic"].serve) as second:
        yield {"openai": (first.port, clerks["openai"]), "anthropic": (second.port, clerks["anthropic"])}, trouble
