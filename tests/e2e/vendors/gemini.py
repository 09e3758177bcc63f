"""Google's generateContent."""

from __future__ import annotations

import json

from tests.e2e.vendors.mind import Heard, Json, Said

USAGE = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 8,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 30,
}


def hear(body: Json) -> Heard:
    """What a request says. Whether it is to stream stands in the URL."""
    contents = body["contents"]
    since = max(at for at, content in enumerate(contents) if content["role"] == "user" and _text(content))
    config = body.get("generationConfig") or {}
    calling = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
    results = [
        part["functionResponse"]["response"]
        for content in contents[since:]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    return Heard(
        prompt=_text(contents[since]),
        system=_text(body.get("systemInstruction") or {"parts": []}),
        tools=tuple(each["name"] for tool in body.get("tools") or [] for each in tool.get("functionDeclarations", [])),
        results=tuple(_only_value(result) for result in results),
        has_schema="responseJsonSchema" in config or "responseSchema" in config,
        must_call=calling == "ANY",
        asked=body,
    )


def answer(said: Said) -> Json:
    """A whole answer."""
    return _answer(_parts(said, [said.text] if said.text else []), "STOP")


def stream(said: Said, _body: Json) -> bytes:
    """A stream of answers, each with one part."""
    answers = [_answer([part], None) for part in _parts(said, said.words)]
    answers.append(_answer([{"text": ""}], "STOP"))
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(each).encode() for each in answers)


def error(message: str, status: int) -> Json:
    """An error's body."""
    names = {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": status, "message": message, "status": names.get(status, "INVALID_ARGUMENT")}}


def _text(content: Json) -> str:
    return " ".join(part["text"] for part in content["parts"] if part.get("text") and not part.get("thought"))


def _only_value(response: Json) -> str:
    """Google wants an object; the tool's text is its only value."""
    (value,) = response.values()
    return value if isinstance(value, str) else json.dumps(value)


def _parts(said: Said, texts: list[str]) -> list[Json]:
    parts: list[Json] = [{"text": said.thought, "thought": True}] if said.thought else []
    parts += [{"text": text} for text in texts]
    if said.call:
        name, arguments = said.call
        parts.append({"functionCall": {"name": name, "args": arguments}, "thoughtSignature": "c2lnbmVk"})
    return parts


def _answer(parts: list[Json], finish: str | None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "vendor-response",
    }
