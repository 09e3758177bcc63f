"""What the gateway passes on as it is, what it adds and takes away, and how it tells tenants apart."""

from __future__ import annotations

import json

import openai
import pytest

from tests.e2e.gateway import ADMIN_KEY, ALICE, CAROL, Gateway, Json
from tests.e2e.prompts import HELLO
from tests.e2e.upstream import Exchange, Script, Upstream, chat_answer, saying

CHAT = "/v1/chat/completions"
FINISH = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
USAGE = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}'
# Odd, but valid: spaces, order, unknown members, line separators inside strings, long numbers, escapes, an odd event.
PAYLOADS = (
    b'{"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
    b'{ "choices" :[{"delta":{"content":"\\t \\u2028 \xe2\x80\xa8 \xc2\x85 \xf0\x9f\x98\x80"},"index":0}], "z":1e400}',
    b'{"choices":[{"index":0,"delta":{"hologram":{"depth":3}},"new_field":12345678901234567890123}],"obfuscation":"xY"}',
    b'{"type":"tomorrow.event","sequence_number":7,"anything":[1,2,{"a":null}]}',
    b'{"choices":[{"index":0,"delta":{"content":"\\ud83d\\ude00"},"logprobs":{"content":[]}}],"service_tier":"flex"}',
)


def payloads(body: bytes) -> list[bytes]:
    """The data of each event, as it came."""
    return [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]


def playing(*sent: bytes, ends: bytes = b"\n\n") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for payload in sent:
            await exchange.chunk(b"data: " + payload + ends)
        await exchange.end_stream()

    return script


def stream(gateway: Gateway, **more: object) -> tuple[dict[str, str], bytes]:
    status, headers, body = gateway.request("POST", CHAT, {"model": "small", "messages": HELLO, "stream": True, **more})
    assert status == 200, body
    return headers, body


def test_payloads_are_passed_on_byte_for_byte(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(playing(*PAYLOADS, FINISH, USAGE, b"[DONE]"))
    headers, body = stream(gateway)
    assert payloads(body) == [*PAYLOADS, FINISH, b"[DONE]"]
    row = gateway.row(headers["x-request-id"])
    assert (row["input_tokens"], row["output_tokens"], row["tokens_counted"]) == (3, 5, "reported")
    assert f": x-headgate-cost-usd={row['cost_usd']}\n\ndata: [DONE]\n\n".encode() in body


def test_a_usage_chunk_that_was_asked_for_is_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(playing(*PAYLOADS, FINISH, USAGE, b"[DONE]"))
    _, body = stream(gateway, stream_options={"include_usage": True, "include_obfuscation": False})
    assert payloads(body) == [*PAYLOADS, FINISH, USAGE, b"[DONE]"]
    assert upstream.exchange().body["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_other_stream_options_are_kept(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(playing(*PAYLOADS, FINISH, USAGE, b"[DONE]"))
    stream(gateway, stream_options={"include_obfuscation": False})
    assert upstream.exchange().body["stream_options"] == {"include_usage": True, "include_obfuscation": False}


@pytest.mark.parametrize("ends", [b"\r\n\r\n", b"\r\r"])
def test_other_line_ends(gateway: Gateway, upstream: Upstream, ends: bytes) -> None:
    upstream.plays(playing(PAYLOADS[0], PAYLOADS[1], FINISH, b"[DONE]", ends=ends))
    _, body = stream(gateway)
    assert b"".join(b"data: " + payload + ends for payload in (PAYLOADS[0], PAYLOADS[1], FINISH)) in body


def test_comments_and_event_names_are_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(b": OPENROUTER PROCESSING\n\nevent: tomorrow\nid: 9\ndata: " + PAYLOADS[1] + b"\n\n")
        await exchange.chunk(b"retry: 10\n\ndata: " + FINISH + b"\n\ndata: [DONE]\n\n")
        await exchange.end_stream()

    upstream.plays(script)
    _, body = stream(gateway)
    sent = b": OPENROUTER PROCESSING\n\nevent: tomorrow\nid: 9\ndata: " + PAYLOADS[1] + b"\n\n"
    assert body.startswith(sent + b"retry: 10\n\ndata: " + FINISH + b"\n\n")


def test_a_stream_in_the_smallest_pieces(gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        whole = b"".join(b"data: " + payload + b"\n\n" for payload in (*PAYLOADS, FINISH, USAGE, b"[DONE]"))
        for start in range(0, len(whole), 7):
            await exchange.chunk(whole[start : start + 7])
        await exchange.end_stream()

    upstream.plays(script)
    _, body = stream(gateway)
    assert payloads(body) == [*PAYLOADS, FINISH, b"[DONE]"]


def test_a_whole_answer_is_passed_on_byte_for_byte(gateway: Gateway, upstream: Upstream) -> None:
    answer = (
        b' { "choices":[{"message":{"content":"\xe2\x80\xa8","hologram":1e400}, "index":0}],\n "tomorrow":[ 1.0 ] }\n'
    )

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, answer)

    upstream.plays(script)
    status, _, body = gateway.request("POST", CHAT, {"model": "small", "messages": HELLO})
    assert (status, body) == (200, answer)


def test_unknown_members_reach_the_provider(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    body = (
        b'{"tomorrow": {"a": [1.0, 1e400, "\xe2\x80\xa8"]}, "model": "small", '
        b'"messages": [{"role": "user", "content": 1}], "t": 2.0}'
    )
    status, _, _ = gateway.request("POST", CHAT, body)
    assert status == 200
    sent = upstream.exchange().raw_body
    assert b'{"a": [1.0, 1e400, "\xe2\x80\xa8"]}' in sent
    assert b'[{"role": "user", "content": 1}]' in sent and b'"t":2.0' in sent.replace(b": ", b":")


@pytest.mark.parametrize(
    ("asked", "sent", "told"),
    [
        ({}, {"max_completion_tokens": 64}, "64"),
        ({"max_tokens": 1000}, {"max_tokens": 64}, "64"),
        ({"max_completion_tokens": 1000}, {"max_completion_tokens": 64}, "64"),
        ({"max_tokens": 10}, {"max_tokens": 10}, None),
    ],
)
def test_a_tiers_ceiling(gateway: Gateway, upstream: Upstream, asked: Json, sent: Json, told: str | None) -> None:
    upstream.plays(saying("x"))
    request = {"model": "small", "messages": HELLO, **asked}
    status, headers, _ = gateway.request("POST", CHAT, request, key=CAROL)
    assert status == 200
    body = upstream.exchange().body
    assert {name: body[name] for name in body if name.startswith("max_")} == sent
    assert headers.get("x-headgate-max-output-tokens") == told


def test_two_tenants(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    request: Json = {"model": "small", "messages": HELLO, "max_tokens": 5}
    _, alice, _ = gateway.request("POST", CHAT, request, x_headgate_session="s1", x_headgate_tags="a, b")
    _, carol, _ = gateway.request("POST", CHAT, request, key=CAROL, x_headgate_prompt_version="v2")
    refused_status, refused, _ = gateway.request("POST", CHAT, {**request, "model": "embed"}, key=CAROL)
    rows = [gateway.row(headers["x-request-id"]) for headers in (alice, carol, refused)]
    assert [(row["tenant"], row["user"], row["outcome"], row["status"]) for row in rows] == [
        ("acme", "alice", "done", 200),
        ("hobby", "carol", "done", 200),
        ("hobby", "carol", "refused", refused_status),
    ]
    assert (rows[0]["session"], rows[0]["tags"], rows[1]["prompt_version"]) == ("s1", ["a", "b"], "v2")
    assert (
        gateway.get_json("/v1/usage", CAROL)["total"]["requests"]
        <= gateway.get_json("/admin/usage")["total"]["requests"]
    )
    assert gateway.get_json("/v1/usage?scope=tenant", CAROL)["tenant"] == "hobby"
    for key in (ALICE, CAROL):
        assert gateway.request("GET", "/admin/ledger", key=key)[0] == 401
    status, _, body = gateway.request("POST", CHAT, request, key=CAROL, x_headgate_user="alice")
    assert (status, json.loads(body)["error"]["param"]) == (403, "x-headgate-user")


def test_a_key_made_and_revoked_at_run_time(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    status, _, body = gateway.request("POST", "/admin/keys", {"tenant": "acme", "user": "dave"}, key=ADMIN_KEY)
    assert status == 201, body
    made = json.loads(body)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=made["key"], max_retries=0) as client:
        assert client.chat.completions.create(model="small", messages=HELLO).choices[0].message.content == "x"
        assert gateway.request("DELETE", f"/admin/keys/{made['id']}", key=ADMIN_KEY)[0] == 200
        with pytest.raises(openai.AuthenticationError, match="revoked"):
            client.chat.completions.create(model="small", messages=HELLO)


@pytest.mark.parametrize("header", ["x_api_key", "api_key"])
def test_the_key_may_be_sent_in_a_header_of_its_own(gateway: Gateway, upstream: Upstream, header: str) -> None:
    upstream.plays(saying("x"))
    request: Json = {"model": "small", "messages": HELLO}
    sent = {header: ALICE, "authorization": "none"}
    assert gateway.request("POST", CHAT, request, key="", **sent)[0] == 200
    assert ALICE not in upstream.exchange().head, "a caller's key went to a provider"


def test_the_callers_trace_goes_on(gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(chat_answer("x"), 200, "x-request-id: upstream-77")

    upstream.plays(script)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    request: Json = {"model": "small", "messages": HELLO}
    _, headers, _ = gateway.request("POST", CHAT, request, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    sent = upstream.exchange().header("traceparent")
    assert sent is not None and sent.startswith(f"00-{trace}-") and "00f067aa0ba902b7" not in sent
    row = gateway.row(headers["x-request-id"])
    assert (row["trace_id"], row["attempts"][0]["upstream_id"]) == (trace, "upstream-77")
    assert headers["x-request-id"] != "upstream-77"
