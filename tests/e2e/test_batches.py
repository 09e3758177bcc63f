"""Files and batches with the SDKs as they are: errors among the requests, cancelled on the way, killed on the way."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.gateway import ALICE, CAROL, HOST, ROOT, WAIT_SECONDS, Gateway
from tests.e2e.upstream import Upstream
from tests.scale import scaled

REQUESTS = scaled(1000, 50)
WRONG = (1, 3, 5)
SOME = REQUESTS // 5
URL = "/v1/chat/completions"
SLOW = {
    "providers": {"slow": {"kind": "sim", "sim": {"ttft_seconds": {"median": 0.1, "p99": 0.2}}}},
    "models": {"slow": {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "slow", "model": "sim"}]}},
    "jobs": {"lease_seconds": 1.5, "concurrency": scaled(32, 4)},
}


@pytest.fixture(scope="module")
def slow_gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("slow"), running_upstream.url, SLOW)
    gateway.start()
    yield gateway
    gateway.stop()


def body(number: int, model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": f"item {number}"}]}


def lines(model: str, count: int = REQUESTS) -> list[str]:
    """Some of them wrong: 1 is no JSON, 3 asks for a model that is not there, 5 repeats another's name."""
    each = [
        json.dumps({"custom_id": f"r{number}", "method": "POST", "url": URL, "body": body(number, model)})
        for number in range(count)
    ]
    each[1] = each[1][:-1]
    each[5] = each[2].replace("item 2", "item 5")
    each[3] = each[3].replace(f'"{model}"', '"nobody"')
    return each


def openai_sdk(gateway: Gateway, key: str = ALICE) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def anthropic_sdk(gateway: Gateway, key: str = ALICE) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


def submitted(client: openai.OpenAI, model: str, count: int = REQUESTS) -> Any:
    content = io.BytesIO("\n".join(lines(model, count)).encode())
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={"night": "first"}
    )


def ended(client: openai.OpenAI, batch_id: str, least: int | None = None) -> Any:
    """The batch when it has ended, or when so many are done."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        batch = client.batches.retrieve(batch_id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        if least is not None and batch.request_counts and batch.request_counts.completed >= least:
            return batch
        time.sleep(0.05)
    raise AssertionError("the batch does not end")


def answers(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    return [] if file_id is None else [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_openais_batches_with_its_sdk(gateway: Gateway) -> None:
    with openai_sdk(gateway) as client:
        batch = ended(client, submitted(client, "simulated").id)
        assert batch.status == "completed" and batch.metadata == {"night": "first"} and batch.errors is None
        assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
        assert batch.expires_at - batch.created_at == 86_400
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (REQUESTS, REQUESTS - 3, 3)
        good, bad = answers(client, batch.output_file_id), answers(client, batch.error_file_id)
        assert [each["custom_id"] for each in good] == [f"r{n}" for n in range(REQUESTS) if n not in WRONG]
        assert all(each["response"]["body"]["object"] == "chat.completion" for each in good)
        unknown, broken, repeated = bad
        assert (unknown["custom_id"], unknown["response"]["status_code"]) == ("r3", 404)
        assert (broken["custom_id"], broken["error"]["code"]) == (None, "invalid_json_line")
        assert (repeated["custom_id"], repeated["error"]["code"]) == ("r2", "duplicate_custom_id")
        rows = gateway.rows([good[0]["response"]["request_id"], good[-1]["response"]["request_id"]])
        assert {row["outcome"] for row in rows} == {"done"}
        assert batch.id in [each.id for each in client.batches.list(limit=1)]
        output = client.files.retrieve(batch.output_file_id)
        assert output.purpose == "batch_output" and output.bytes == len(client.files.content(output.id).content)


def test_the_page_says_what_runs(gateway: Gateway, tmp_path: Path) -> None:
    """The examples of docs/batches.md."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "batches.md").read_text(), re.DOTALL)
    told = {
        "OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": ALICE,
        "ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_API_KEY": ALICE,
    }  # fmt: skip
    running = [
        subprocess.Popen(
            (sys.executable, "-c", example), cwd=tmp_path, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True
        )
        for example in examples
    ]
    of_openai, of_anthropic = [process.communicate(timeout=WAIT_SECONDS)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert of_openai[0].startswith("completed") and len(of_openai) == 101
    assert sorted(of_anthropic) == sorted(f"hello-{number} succeeded" for number in range(100))


def test_files_with_openais_sdk(gateway: Gateway) -> None:
    with openai_sdk(gateway) as client:
        content = bytes(range(256)) * 10_000
        made = [
            client.files.create(
                file=(f"{number}.bin", content),
                purpose="user_data",
                expires_after={"anchor": "created_at", "seconds": 3600},
            )
            for number in range(3)
        ]
        first = client.files.retrieve(made[0].id)
        assert first == made[0] and first.expires_at == first.created_at + 3600 and first.bytes == len(content)
        assert client.files.content(first.id).content == content
        found = client.files.list(purpose="user_data", limit=2)  # the SDK asks for the next page by itself
        assert [each.id for each in found][:3] == [each.id for each in made[::-1]]
        upwards = [each.id for each in client.files.list(purpose="user_data", order="asc", after=made[0].id)]
        assert upwards[:2] == [made[1].id, made[2].id]
        for each in made:
            assert client.files.delete(each.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(first.id)
        with pytest.raises(openai.BadRequestError, match="purpose"):
            client.files.create(file=("a.txt", b"a"), purpose="for fun")  # type: ignore[arg-type]  # a wrong one
        with pytest.raises(openai.BadRequestError, match="batch"):
            other = client.files.create(file=("a.txt", b"a"), purpose="user_data")
            client.batches.create(input_file_id=other.id, endpoint=URL, completion_window="24h")


def test_a_file_may_be_larger_and_take_longer_than_a_request(strict_gateway: Gateway) -> None:
    """Its bounds are its own: only silence is too slow."""
    content, many = b"x" * 400_000, 8

    def slowly(pieces: int) -> socket.socket:
        head = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        tail = b'\r\n--edge\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--edge--\r\n'
        request = (
            f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\nconnection: close\r\n"
            "content-type: multipart/form-data; boundary=edge\r\n"
            f"content-length: {len(head) + len(content) + len(tail)}\r\n\r\n"
        )
        made = socket.create_connection((HOST, strict_gateway.port), timeout=WAIT_SECONDS)
        made.sendall(request.encode() + head)
        for number in range(pieces):
            made.sendall(content[number * 50_000 : (number + 1) * 50_000])
            time.sleep(0.15)  # the whole takes longer than receive_seconds
        if pieces == many:
            made.sendall(tail)
        return made

    with slowly(many) as whole:
        answer = whole.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200") and b'"bytes":400000' in answer, answer
    with slowly(1) as part:
        assert part.recv(65_536).startswith(b"HTTP/1.1 408")


def test_what_is_another_tenants_is_not_found(gateway: Gateway) -> None:
    with openai_sdk(gateway) as mine, openai_sdk(gateway, CAROL) as others, anthropic_sdk(gateway, CAROL) as also:
        batch = ended(mine, submitted(mine, "simulated").id)
        ask = (others.files.retrieve, others.files.content, others.files.delete)
        for call, name in [(each, batch.output_file_id) for each in ask] + [
            (others.batches.retrieve, batch.id),
            (others.batches.cancel, batch.id),
        ]:
            with pytest.raises(openai.NotFoundError):
                call(name)
        with pytest.raises(openai.NotFoundError):
            others.batches.create(input_file_id=batch.input_file_id, endpoint=URL, completion_window="24h")
        with pytest.raises(anthropic.NotFoundError):
            also.messages.batches.retrieve(batch.id)
        assert not list(others.files.list()) and not list(others.batches.list())


def test_anthropics_batches_with_its_sdk(gateway: Gateway) -> None:
    requests: list[Any] = [{"custom_id": f"m{n}", "params": body(n, "simulated")} for n in range(REQUESTS)]
    requests[3]["params"]["model"] = "nobody"
    del requests[4]["params"]["messages"]
    with anthropic_sdk(gateway) as client:
        batch = client.messages.batches.create(requests=requests)
        assert batch.processing_status == "in_progress" and batch.request_counts.processing == REQUESTS
        until = time.monotonic() + WAIT_SECONDS
        while batch.processing_status != "ended":
            assert time.monotonic() < until
            time.sleep(0.05)
            batch = client.messages.batches.retrieve(batch.id)
        assert (batch.request_counts.succeeded, batch.request_counts.errored) == (REQUESTS - 2, 2)
        results: dict[str, Any] = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
        assert len(results) == REQUESTS
        assert results["m3"].error.error.type == "not_found_error"
        assert results["m4"].error.error.type == "invalid_request_error"
        assert results["m0"].message.content[0].text and results["m0"].message.usage.output_tokens == 5
        assert batch.id in [each.id for each in client.messages.batches.list(limit=5)]
        assert client.beta.messages.batches.retrieve(batch.id).id == batch.id
        with pytest.raises(anthropic.BadRequestError, match="custom_id"):
            client.messages.batches.create(requests=[requests[0], requests[0]])
        assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)


def test_a_batch_that_is_cancelled_keeps_what_was_answered(slow_gateway: Gateway) -> None:
    count = 4 * REQUESTS  # more than can be done before it is seen that some are
    with openai_sdk(slow_gateway) as client:
        batch = ended(client, submitted(client, "slow", count).id, SOME)
        assert batch.status == "in_progress"
        assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
        batch = ended(client, batch.id)
        assert batch.status == "cancelled" and batch.cancelling_at <= batch.cancelled_at
        good, bad = answers(client, batch.output_file_id), answers(client, batch.error_file_id)
        assert SOME <= len(good) == batch.request_counts.completed < count
        assert len(good) + len(bad) == count
        assert Counter(each["error"] and each["error"]["code"] for each in bad)["batch_cancelled"] > 0


def test_a_batch_goes_on_when_its_process_was_killed(slow_gateway: Gateway) -> None:
    with openai_sdk(slow_gateway) as client:
        batch = ended(client, submitted(client, "slow").id, SOME)
        assert batch.status == "in_progress"
        slow_gateway.kill()
        slow_gateway.start()
        batch = ended(client, batch.id)
        assert batch.status == "completed" and batch.request_counts.completed == REQUESTS - 3
        good = answers(client, batch.output_file_id)
        assert [each["custom_id"] for each in good] == [f"r{n}" for n in range(REQUESTS) if n not in WRONG]
        assert len({each["response"]["request_id"] for each in good}) == len(good)
        assert len(answers(client, batch.error_file_id)) == 3
