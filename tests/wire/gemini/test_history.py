"""What Gemini said goes back to it as it came, when a client sends all of it back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.gemini.answer import read_answer
from headgate.wire.gemini.request import write_request
from headgate.wire.neutral import Message, Request, Role, Target, Text

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
signatures = st.fixed_dictionaries({}, optional={"thoughtSignature": st.sampled_from(["c2ln", "bmF0dXJl"])})
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
texts = st.builds(lambda text, signed: {"text": text} | signed, words, signatures)
thoughts = st.builds(lambda text, signed: {"text": text, "thought": True} | signed, words, signatures)
calls = st.builds(
    lambda name, args, number, signed: {"functionCall": {"name": name, "args": args, "id": str(number)}} | signed,
    words,
    st.dictionaries(words, values, max_size=3),
    st.integers(),
    signatures,
)
pictures = st.builds(lambda signed: {"inlineData": {"mimeType": "image/png", "data": "QQ=="}} | signed, signatures)
code = st.builds(lambda text, signed: {"executableCode": {"code": text}} | signed, words, signatures)
contents = st.lists(texts | thoughts | calls | pictures | code, min_size=1, max_size=6)


def joined(parts: list[Any]) -> list[Any]:
    """Neighbouring pieces of one text are one text: how Gemini cuts it means nothing, but a signature ends a piece."""
    whole: list[Any] = []
    for part in parts:
        last = whole[-1] if whole else {}
        same = "text" in part and "text" in last and part.get("thought") == last.get("thought")
        if same and "thoughtSignature" not in last:
            whole[-1] = {**last, **part, "text": last["text"] + part["text"]}
        else:
            whole.append(part)
    return whole


@given(contents)
def test_an_answer_goes_back_as_it_came(parts: list[Any]) -> None:
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    answer = read_answer(json.dumps({"candidates": [candidate], "responseId": "r"}).encode())
    messages = (Message(Role.USER, (Text("hello"),)), Message(Role.ASSISTANT, answer.choices[0].parts))
    written = write_request(Request(messages=messages), Target("gemini-2.5-flash"))
    assert written.leftovers == ()
    assert json.loads(written.body)["contents"][1] == {"role": "model", "parts": joined(parts)}
