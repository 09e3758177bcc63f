"""What makes two requests the same, and which answers may be kept. No answer may ever cross from one to another."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.cache_types import Ending, ExactRules, NotKept, Question, Sampled, Sharing
from headgate.policy import caching
from headgate.types import Call, Caller, Route, Tier
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker

TIER = Tier("pro", models=frozenset({"*"}))
ALICE = Caller("key_1", "acme", "alice", TIER)
BOB = Caller("key_2", "acme", "bob", TIER)
EVE = Caller("key_3", "other", "alice", TIER)
RULES = ExactRules()
HI = {"role": "user", "content": "hi"}
CHAT: dict[str, Any] = {
    "model": "large",
    "messages": [
        {"role": "system", "content": "You sell shoes."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! What can I do?"},
        {"role": "user", "content": "Which size am I?"},
    ],
    "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_object"},
    "temperature": 0,
    "max_tokens": 100,
    "seed": 7,
}


def read(body: Any, route: Route = Route.CHAT, headers: CallHeaders = CallHeaders()) -> Call:  # noqa: B008  # immutable
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return speaker(route).parse_call(route, raw, "req_1", headers)


def asked(body: Any, caller: Caller = ALICE, **more: Any) -> Question:
    headers = CallHeaders(**{name: more.pop(name) for name in list(more) if name in CallHeaders.__struct_fields__})
    return caching.question(
        read(body, more.get("route", Route.CHAT), headers), caller, more.get("rules", RULES), more.get("ceiling")
    )


def key(body: Any = CHAT, caller: Caller = ALICE, **more: Any) -> bytes:
    found = asked(body, caller, **more)
    assert found.reason is None
    return found.key


def without(name: str) -> dict[str, Any]:
    return {member: value for member, value in CHAT.items() if member != name}


def saying(place: int, content: object) -> dict[str, Any]:
    messages = [dict(message) for message in CHAT["messages"]]
    messages[place]["content"] = content
    return {**CHAT, "messages": messages}


OTHERS: dict[str, bytes] = {
    "tenant": key(caller=EVE),
    "model": key({**CHAT, "model": "large2"}),
    "prompt version": key(prompt_version="v1"),
    "another prompt version": key(prompt_version="v2"),
    "empty prompt version": key(prompt_version=""),
    "system prompt": key(saying(0, "You sell hats.")),
    "first message": key(saying(1, "Hello!")),
    "history": key(saying(2, "Hello! What can I do")),
    "question": key(saying(3, "Which size am I")),
    "question with a space": key(saying(3, "Which size am I? ")),
    "question in parts": key(saying(3, [{"type": "text", "text": "Which size am I?"}])),
    "no system prompt": key({**CHAT, "messages": CHAT["messages"][1:]}),
    "shorter history": key({**CHAT, "messages": CHAT["messages"][-1:]}),
    "other order": key({**CHAT, "messages": [CHAT["messages"][place] for place in (0, 3, 2, 1)]}),
    "another role": key({**CHAT, "messages": [{**CHAT["messages"][0], "role": "user"}, *CHAT["messages"][1:]]}),
    "a name": key({**CHAT, "messages": [*CHAT["messages"][:3], {**CHAT["messages"][3], "name": "zoe"}]}),
    "no tools": key(without("tools")),
    "a tool's description": key(
        {**CHAT, "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "string"}}}]}
    ),
    "tool choice": key({**CHAT, "tool_choice": "none"}),
    "response format": key(without("response_format")),
    "temperature": key(without("temperature")),
    "top_p": key({**CHAT, "top_p": 0.5}),
    "top_p in other words": key({**CHAT, "top_p": 0.25}),
    "max_tokens": key({**CHAT, "max_tokens": 101}),
    "another word for it": key({**without("max_tokens"), "max_completion_tokens": 100}),
    "seed": key({**CHAT, "seed": 8}),
    "stop": key({**CHAT, "stop": ["x"]}),
    "n": key({**CHAT, "n": 2}),
    "logit_bias": key({**CHAT, "logit_bias": {"50256": -100}}),
    "reasoning_effort": key({**CHAT, "reasoning_effort": "low"}),
    "verbosity": key({**CHAT, "verbosity": "low"}),
    "a member nobody knows": key({**CHAT, "shoes": True}),
    "the same member, false": key({**CHAT, "shoes": False}),
    "the same member, null": key({**CHAT, "shoes": None}),
    "a stream": key({**CHAT, "stream": True}),
    "stream options": key({**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
    "a lower ceiling": key(ceiling=50),
    "another lower ceiling": key(ceiling=5),
    "a header for the provider": key(dialect_headers=(("openai-beta", "x"),)),
    "another header": key(dialect_headers=(("openai-beta", "y"),)),
    "two headers": key(dialect_headers=(("openai-beta", "x"), ("anthropic-beta", "y"))),
    "only for the user": key(rules=ExactRules(share=Sharing.USER)),
    "only for another user": key(caller=BOB, rules=ExactRules(share=Sharing.USER)),
    "only for another tenant's user": key(caller=EVE, rules=ExactRules(share=Sharing.USER)),
    "for everybody": key(rules=ExactRules(share=Sharing.EVERYBODY)),
}


def test_whatever_an_answer_depends_on_is_in_the_key() -> None:
    keys = {"the request itself": key(), **OTHERS}
    same = [(one, other) for one in keys for other in keys if one < other and keys[one] == keys[other]]
    assert not same


@pytest.mark.parametrize(
    "body, caller, more",
    [
        ({**CHAT, "user": "zoe"}, ALICE, {}),
        ({**CHAT, "metadata": {"trace": "1"}, "safety_identifier": "s", "prompt_cache_key": "k"}, ALICE, {}),
        (CHAT, BOB, {}),
        (CHAT, ALICE, {"session": "s1", "tags": ("a",), "traceparent": "00-1-1-01", "user": "zoe"}),
        (dict(reversed(CHAT.items())), ALICE, {}),
        (json.dumps(CHAT, indent=3).encode(), ALICE, {}),
        (json.dumps(CHAT, separators=(",", ":")).encode(), ALICE, {}),
        (json.dumps(CHAT).replace("Which size", "\\u0057hich size").encode(), ALICE, {}),
    ],
)
def test_what_no_answer_depends_on_is_not(body: Any, caller: Caller, more: dict[str, Any]) -> None:
    assert key(body, caller, **more) == key()


def test_it_is_the_same_in_every_process() -> None:
    """A key that depended on a process's seed for hashes would never be found again."""
    assert key({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).hex() == GOLDEN


GOLDEN = "75ff76dc05f694e7d2b6b256fd12d53806895ddf0b705efc"

words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
messages = st.fixed_dictionaries({"role": words, "content": values})
bodies = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "messages": st.lists(st.fixed_dictionaries({"role": words, "content": values}), max_size=3),
    },
    optional={"x": values, "y": values},
)


@given(bodies, bodies, st.sampled_from([ALICE, BOB, EVE]), st.sampled_from([ALICE, BOB, EVE]))
def test_two_requests_have_one_key_only_if_they_are_the_same(
    one: dict[str, Any], other: dict[str, Any], first: Caller, second: Caller
) -> None:
    texts = [json.dumps(body, sort_keys=True) for body in (one, other)]
    left, right = asked(one, first), asked(other, second)
    if left.reason is None and right.reason is None:
        same = texts[0] == texts[1] and first.tenant == second.tenant
        assert (left.key == right.key) == same


@given(bodies, st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_order_white_space_and_escapes_do_not_matter(
    body: dict[str, Any], random: Any, indent: int | str | None, escape: bool
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(each) for each in value]
        if isinstance(value, dict):
            return {name: shuffled(value[name]) for name in random.sample(list(value), len(value))}
        return value

    try:
        written = json.dumps(shuffled(body), indent=indent, ensure_ascii=escape).encode()
    except UnicodeEncodeError:
        return
    assert asked(written) == asked(json.dumps(body).encode())


@pytest.mark.parametrize(
    "one, other",
    [
        (({"tenant": "ab"}, "c"), ({"tenant": "a"}, "bc")),
        (({"tenant": "a"}, "=c"), ({"tenant": "a="}, "c")),
        (({"tenant": "4:acme"}, "x"), ({"tenant": "acme"}, "x")),
        (({"tenant": "acme6:tenant"}, None), ({"tenant": "acme"}, "6:tenant")),
    ],
)
def test_parts_cannot_be_moved_into_each_other(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    keys = [
        key(caller=msgspec.structs.replace(ALICE, **members), prompt_version=version)
        for members, version in (one, other)
    ]
    assert keys[0] != keys[1]


def test_a_user_cannot_be_written_so_that_he_is_another_tenants() -> None:
    rules = ExactRules(share=Sharing.USER)
    named = msgspec.structs.replace(ALICE, tenant="a", user="b\x00c")
    other = msgspec.structs.replace(ALICE, tenant="a\x00b", user="c")
    nobody = msgspec.structs.replace(ALICE, user=None, key_id="alice")
    assert len({key(caller=caller, rules=rules) for caller in (named, other, nobody, ALICE)}) == 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "messages": [{"role": "user", "content": "hi", "content": "bye"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "x": {"a": 1, "a": 1}}',
        b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "x": {"a": 1, "\\u0061": 2}}',
    ],
)
def test_a_member_that_stands_twice_is_nothing_to_rely_on(body: bytes) -> None:
    assert asked(body).reason is NotKept.AMBIGUOUS


def test_numbers_are_told_apart_by_how_they_are_written() -> None:
    written = [b"1", b"1.0", b"1.00", b"1e0", b"0.1", b"0.10000000000000000555", b"10000000000000000000000001", b"1e25"]
    template = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "x": [%b]}'
    assert len({key(template.replace(b"%b", number)) for number in written}) == len(written)


@pytest.mark.parametrize(
    "members, sampled, reason",
    [
        ({}, Sampled.UNSET, None),
        ({}, Sampled.NEVER, NotKept.SAMPLED),
        ({"temperature": 0}, Sampled.NEVER, None),
        ({"temperature": 0.0}, Sampled.NEVER, None),
        ({"temperature": None}, Sampled.UNSET, None),
        ({"temperature": 0.01}, Sampled.UNSET, NotKept.SAMPLED),
        ({"temperature": 1}, Sampled.UNSET, NotKept.SAMPLED),
        ({"temperature": "0"}, Sampled.UNSET, NotKept.SAMPLED),
        ({"temperature": 1}, Sampled.ALWAYS, None),
        ({"store": True}, Sampled.UNSET, NotKept.STATEFUL),
        ({"store": False}, Sampled.UNSET, None),
        ({"web_search_options": {"a": 1}}, Sampled.UNSET, NotKept.STATEFUL),
        ({"tools": [{"type": "function"}]}, Sampled.UNSET, None),
        ({"tools": [{"type": "web_search"}]}, Sampled.UNSET, NotKept.HOSTED_TOOLS),
        ({"tools": {"type": "function"}}, Sampled.UNSET, NotKept.HOSTED_TOOLS),
    ],
)
def test_which_requests_may_be_answered_again(
    members: dict[str, Any], sampled: Sampled, reason: NotKept | None
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    assert asked(body, rules=ExactRules(sampled=sampled)).reason is reason


@pytest.mark.parametrize(
    "route, body, reason",
    [
        (Route.RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}, NotKept.STATEFUL),
        (Route.RESPONSES, {"input": "hi", "conversation": "conv_1"}, NotKept.STATEFUL),
        (Route.RESPONSES, {"input": "hi", "prompt": {"id": "pmpt_1"}}, NotKept.STATEFUL),
        (Route.RESPONSES, {"input": "hi", "tools": [{"type": "mcp"}]}, NotKept.HOSTED_TOOLS),
        (Route.RESPONSES, {"input": "hi"}, None),
        (Route.COMPLETIONS, {"prompt": "hi"}, None),
        (Route.EMBEDDINGS, {"input": "hi"}, None),
        (Route.MESSAGES, {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}, None),
        (
            Route.MESSAGES,
            {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "mcp_servers": [{"url": "x"}]},
            NotKept.STATEFUL,
        ),
        (
            Route.COUNT_TOKENS,
            {"messages": [{"role": "user", "content": "hi"}]},
            NotKept.STATEFUL,
        ),
    ],
)
def test_dialects(route: Route, body: dict[str, Any], reason: NotKept | None) -> None:
    assert asked({"model": "m", **body}, route=route).reason is reason


def test_what_responses_repeat_is_in_their_key() -> None:
    assert key({"model": "m", "input": "hi"}, route=Route.RESPONSES) != key(
        {"model": "m", "input": "hi", "metadata": {"a": "b"}}, route=Route.RESPONSES
    )


@pytest.mark.parametrize(
    "route, body, message, is_single_turn",
    [
        (Route.CHAT, CHAT, CHAT["messages"][3], False),
        (Route.CHAT, {**CHAT, "messages": [CHAT["messages"][0], CHAT["messages"][3]]}, CHAT["messages"][3], True),
        (Route.CHAT, {**CHAT, "messages": CHAT["messages"][:3]}, None, False),
        (Route.CHAT, {**CHAT, "messages": []}, None, False),
        (Route.RESPONSES, {"model": "m", "input": "hi"}, "hi", True),
        (
            Route.RESPONSES,
            {"model": "m", "input": [{"role": "user", "content": "hi"}]},
            {"role": "user", "content": "hi"},
            True,
        ),
        (Route.COMPLETIONS, {"model": "m", "prompt": "hi"}, "hi", True),
        (Route.COMPLETIONS, {"model": "m", "prompt": ["hi"]}, None, False),
        (Route.EMBEDDINGS, {"model": "m", "input": "hi"}, None, False),
    ],
)
def test_the_last_word(route: Route, body: Any, message: Any, is_single_turn: bool) -> None:
    found = asked(body, route=route)
    assert (json.loads(found.message) if found.message else None) == message
    assert found.is_single_turn == is_single_turn


def test_requests_that_differ_in_the_last_word_share_a_partition() -> None:
    one, other = asked(CHAT), asked(saying(3, "And my hat?"))
    assert one.partition == other.partition and one.key != other.key
    assert asked(saying(1, "Hi")).partition != one.partition


@pytest.mark.parametrize(
    "route, ending, reason",
    [
        (Route.CHAT, Ending(("stop",)), None),
        (Route.CHAT, Ending(("stop", "stop")), None),
        (Route.CHAT, Ending(("stop", "length")), NotKept.INCOMPLETE),
        (Route.CHAT, Ending(("stop", "")), NotKept.INCOMPLETE),
        (Route.CHAT, Ending(()), NotKept.INCOMPLETE),
        (Route.CHAT, Ending(("end_turn",)), NotKept.INCOMPLETE),
        (Route.CHAT, Ending(("stop",), calls_tools=True), NotKept.TOOL_CALL),
        (Route.CHAT, Ending(("stop",), refuses=True), NotKept.REFUSAL),
        (Route.MESSAGES, Ending(("end_turn",)), None),
        (Route.MESSAGES, Ending(("stop_sequence",)), None),
        (Route.MESSAGES, Ending(("max_tokens",)), NotKept.INCOMPLETE),
        (Route.MESSAGES, Ending(("pause_turn",)), NotKept.INCOMPLETE),
        (Route.RESPONSES, Ending(("completed",)), None),
        (Route.RESPONSES, Ending(("incomplete",)), NotKept.INCOMPLETE),
    ],
)
def test_which_answers_are_kept(route: Route, ending: Ending, reason: NotKept | None) -> None:
    assert caching.must_not_be_kept(route, ending) is reason


def test_a_private_key_is_the_users_own() -> None:
    call = read(CHAT)
    shared = key()
    assert len({shared, *(caching.private(shared, call, caller) for caller in (ALICE, BOB, EVE))}) == 4
