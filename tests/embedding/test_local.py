"""The embedder of this machine, with the real model in a real process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from headgate.embedding import local, prepared
from headgate.embedding.local import LocalEmbedder
from headgate.embedding.offline import embed_texts
from headgate.errors import EmbedderUnavailable


def run(scenario: Callable[[LocalEmbedder], Awaitable[None]], folder: Path | None = None, waiting: int = 256) -> None:
    async def whole() -> None:
        embedder = LocalEmbedder(folder or prepared.place(""), max_waiting=waiting)
        try:
            await scenario(embedder)
        finally:
            await embedder.aclose()

    asyncio.run(whole())


def test_the_server_and_offline_commands_get_the_same_vectors() -> None:
    texts = ["What is the capital of France?", "Which city is France's capital?", "How do I bake bread?"]

    async def scenario(embedder: LocalEmbedder) -> None:
        vectors = await embedder.embed(texts)
        assert np.array_equal(np.stack([np.frombuffer(one, np.float32) for one in vectors]), embed_texts(texts))

    run(scenario)


def test_meaning_is_near_and_the_rest_is_far() -> None:
    one, same, other = embed_texts(
        ["What is the capital of France?", "Which city is France's capital?", "How do I bake bread?"]
    )
    assert one @ same > 0.85
    assert one @ other < 0.3


def test_a_process_that_dies_is_replaced() -> None:
    async def scenario(embedder: LocalEmbedder) -> None:
        (before,) = await embedder.embed(["a"])
        child = embedder._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(embedder.embed(["b"]))
        await asyncio.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(EmbedderUnavailable, match="failed"):
            await asked
        assert await embedder.embed(["a"]) == [before], "remembered"
        (after,) = await embedder.embed(["c"])
        assert after != before

    run(scenario)


def test_the_queue_is_bounded_and_a_text_waits_once() -> None:
    async def scenario(embedder: LocalEmbedder) -> None:
        await embedder.start()
        asked = [asyncio.ensure_future(embedder.embed([text])) for text in ("a", "b", "a", "c", "d")]
        *answers, refused = await asyncio.gather(*asked, return_exceptions=True)
        assert answers[0] == answers[2]
        assert not any(isinstance(answer, BaseException) for answer in answers)
        assert isinstance(refused, EmbedderUnavailable)
        assert "3 texts wait" in refused.message
        await embedder.embed(["d"])

    run(scenario, waiting=3)


def test_texts_that_come_together_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    ask = LocalEmbedder._ask

    async def counting(self: LocalEmbedder, texts: list[str]) -> list[bytes]:
        sent.append(len(texts))
        return await ask(self, texts)

    monkeypatch.setattr(LocalEmbedder, "_ask", counting)

    async def scenario(embedder: LocalEmbedder) -> None:
        await asyncio.gather(*(embedder.embed([f"text {number}"]) for number in range(local.MAX_BATCH + 4)))
        assert sent == [local.MAX_BATCH, 4]

    run(scenario)


def test_what_is_damaged_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not tried again with every request."""
    folder = tmp_path / "nothing"
    child = tmp_path / "child.py"
    child.write_text(
        "import struct, sys\nsys.path.insert(0, sys.argv[2])\n"
        "from headgate.embedding import child, preparing\nfrom pathlib import Path\n"
        "preparing.carried = lambda: None\nchild.serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)\n"
    )
    started: list[object] = []
    start = asyncio.create_subprocess_exec

    async def without_weights(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        started.append(arguments)
        python, _, _, where = arguments
        return await start(python, str(child), where, str(Path.cwd()), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", without_weights)

    async def scenario(embedder: LocalEmbedder) -> None:
        for _ in range(2):
            with pytest.raises(EmbedderUnavailable, match="headgate embedder prepare"):
                await embedder.embed(["a"])
        assert len(started) == 1

    run(scenario, folder)
