"""Answers to questions that mean the same, by a real gateway with the real embedder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import openai
import pytest
from click.testing import CliRunner

from headgate.commands.cache import cache
from headgate.gateway.semantic_checks import SHADOW_TAG
from tests.e2e.gateway import ADMIN_KEY, ALICE, Gateway, Json
from tests.e2e.upstream import WAIT_SECONDS, Upstream
from tests.e2e.vendors.playing import speaking
from tests.gateway.meaning import question

MODEL = "by-openai"
QUESTIONS = 64  # all that there are
LAST = "Please, how do I reset my {}?"


@pytest.fixture(scope="module")
def gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("semantic"), running_upstream.url)
    config: Json = json.loads(gateway.config_file.read_text())
    config["models"][MODEL]["cache"] = {"semantic": {"bound": 0.2, "shadow_share": 1.0, "wait_seconds": 5}}
    gateway.config_file.write_text(json.dumps(config))
    gateway.start()
    yield gateway
    gateway.stop()


def test_it_learns_serves_measures_and_says_so(
    gateway: Gateway, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.plays(speaking())
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as client:
        seen = [_asked(client, question(number)) for number in range(QUESTIONS)]
        assert seen[:50] == ["miss"] * 50, "nothing before it is known to be right"
        deadline = time.monotonic() + WAIT_SECONDS
        while (last := _asked(client, LAST.format("router") + " " * len(seen))) != "semantic":
            seen.append(last)
            assert time.monotonic() < deadline, seen

    told = gateway.eventually(lambda: _verified(gateway))
    semantic = told["semantic"][MODEL]
    assert told["hits"]["semantic"] >= 1
    assert semantic["false_hits"] == 0 and semantic["high"] < 1
    rows = gateway.eventually(lambda: _shadows(gateway))
    assert all(row["tenant"] == "acme" for row in rows), "what it cost is booked"
    assert gateway.metric("headgate_semantic_verified_total") > 1
    monkeypatch.setenv("HEADGATE_ADMIN_KEY", ADMIN_KEY)
    printed = CliRunner().invoke(cache, ["stats", "--url", gateway.url], catch_exceptions=False).output
    assert f"meaning   {MODEL}: 0.00% of" in printed


def _asked(client: openai.OpenAI, text: str) -> str:
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": text}])
    return answer.headers["x-headgate-cache"]


def _verified(gateway: Gateway) -> Json | None:
    told = gateway.get_json("/admin/cache")
    return told if told["semantic"][MODEL]["verified"] else None


def _shadows(gateway: Gateway) -> list[Json] | None:
    rows: list[Json] = gateway.get_json("/admin/ledger?limit=500")["data"]
    return [row for row in rows if SHADOW_TAG in row.get("tags", ())] or None
