"""The token counters, with the real vocabularies and a real counting process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from headgate.policy.estimating import estimate_tokens
from headgate.sim.loop import VirtualLoop
from headgate.tokens.counter import EstimatingCounter, OfflineCounter, encoding_of

TEXTS = ["The gate decides how much water enters the mill race.", "", "水闸决定有多少水", "half a \ud83d pair"]


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-5.2-codex", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("openai/gpt-oss-120b", "o200k_base"),
        ("openai/GPT-4o", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "o200k_base"),
        ("ft:gpt-3.5-turbo-0125:acme::abc", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo-instruct", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
        ("claude-sonnet-4-5", None),
        ("mistral-small", None),
        ("qwen3-32b", None),
        ("olmo-2", None),
        ("o200", None),
        ("my-gpt-4o", None),
        ("", None),
    ],
)
def test_families(model: str, encoding: str | None) -> None:
    assert encoding_of(model) == encoding


def counted(scenario: Callable[[OfflineCounter], Awaitable[None]]) -> None:
    """Run with a counter that is closed at the end."""
    pytest.importorskip("toktok", reason="needs headgate[tokenizers]")

    async def run() -> None:
        async with aclosing(OfflineCounter()) as counter:
            await scenario(counter)

    asyncio.run(run())


def test_known_families_are_counted_exactly() -> None:
    async def scenario(counter: OfflineCounter) -> None:
        import toktok

        texts = [text.encode("utf-8", "replace").decode() for text in TEXTS]
        for model, encoding in {"gpt-4o-mini": "o200k_base", "gpt-4": "cl100k_base"}.items():
            assert await counter.count(model, TEXTS) == sum(toktok.batch_count(texts, encoding))
        assert await counter.count("gpt-4o", []) == await counter.count("gpt-4o", [""]) == 0

    counted(scenario)


def test_counts_asked_at_once_do_not_mix() -> None:
    async def scenario(counter: OfflineCounter) -> None:
        totals = await asyncio.gather(*(counter.count("gpt-4o", ["word"] * number) for number in range(40)))
        assert totals == list(range(40))

    counted(scenario)


def test_a_cancelled_count_leaves_no_answer_for_the_next_one() -> None:
    async def scenario(counter: OfflineCounter) -> None:
        await counter.count("gpt-4o", ["warm"])
        leaving = asyncio.create_task(counter.count("gpt-4o", ["water " * 200_000]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await counter.count("gpt-4o", ["word"]) == 1

    counted(scenario)


def test_a_count_survives_the_death_of_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(counter: OfflineCounter) -> None:
        await counter.count("gpt-4o", ["warm"])
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        text = "The gate decides. " * 50
        assert await counter.count("gpt-4o", [text]) == estimate_tokens(text)
        assert "estimated" in caplog.text
        assert await counter.count("gpt-4o", ["word"]) == 1

    counted(scenario)


def test_after_the_end_it_estimates() -> None:
    async def scenario(counter: OfflineCounter) -> None:
        await counter.count("gpt-4o", ["warm"])
        await counter.aclose()
        assert children() == []
        assert await counter.count("gpt-4o", TEXTS[:1]) == estimate_tokens(TEXTS[0])

    counted(scenario)


def test_the_counting_process_ends_with_the_gateway() -> None:
    pytest.importorskip("toktok", reason="needs headgate[tokenizers]")
    program = """
import asyncio, signal, os
from headgate.tokens.counter import OfflineCounter
async def main():
    await OfflineCounter().count("gpt-4o", ["warm"])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    # The child inherits stderr: reading it to its end waits until both processes are gone.
    result = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=240, check=False)
    assert result.returncode == -signal.SIGKILL


def test_without_the_extra_everything_is_estimated() -> None:
    program = """
import asyncio, sys
sys.modules["toktok"] = None
from headgate.tokens.counter import OfflineCounter
print(asyncio.run(OfflineCounter().count("gpt-4o", ["The gate decides how much water enters the mill race."])))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(result.stdout) == estimate_tokens(TEXTS[0])


def test_estimates_work_on_a_virtual_loop() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(EstimatingCounter().count("gpt-4o", TEXTS)) == sum(map(estimate_tokens, TEXTS))
        assert runner.run(OfflineCounter().count("llama-3", TEXTS)) == sum(map(estimate_tokens, TEXTS))


def children() -> list[int]:
    """Process ids of this process's living counters; other tests in this process may have servers running."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in listed.split()}
    return [pid for pid, command in commands.items() if b"headgate.tokens.child" in command]
