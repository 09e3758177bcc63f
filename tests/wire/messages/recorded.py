"""Answers that Anthropic once gave (signatures and encrypted contents shortened), and a plain reading of them.

The reading here knows nothing of headgate: it walks the JSON, so that what the dialect makes of it can be judged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "recorded.jsonl"


@dataclass
class Reading:
    """What an answer said."""

    text: str = ""
    thoughts: str = ""
    signatures: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    cited: list[str] = field(default_factory=list)
    stop_reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    id: str
    stream: bool
    body: bytes

    def reading(self) -> Reading:
        message = self._assembled() if self.stream else json.loads(self.body)
        reading = Reading(stop_reason=message["stop_reason"], usage=message["usage"])
        for block in message["content"]:
            _read(block, reading)
        return reading

    def _assembled(self) -> dict[str, Any]:
        message: dict[str, Any] = {}
        for event in self.body.decode().split("\n\n"):
            if not event.strip():
                continue
            value = json.loads(event[event.index("data:") + 5 :])
            if value["type"] == "message_start":
                message = value["message"]
            elif value["type"] == "content_block_start":
                message["content"].append(value["content_block"])
            elif value["type"] == "content_block_delta":
                _add(message["content"][value["index"]], value["delta"])
            elif value["type"] == "message_delta":
                message["stop_reason"] = value["delta"]["stop_reason"]
                message["usage"] |= value["usage"]
        return message


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("text", "thinking", "signature"):
        if name in delta:
            block[name] = block.get(name, "") + delta[name]
    if "partial_json" in delta:
        block["pieces"] = block.get("pieces", "") + delta["partial_json"]
        block["input"] = json.loads(block["pieces"]) if _is_json(block["pieces"]) else block["input"]
    if "citation" in delta:
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _read(block: dict[str, Any], reading: Reading) -> None:
    block.pop("pieces", None)
    if block["type"] == "text":
        reading.text += block["text"]
        reading.cited += [citation["url"] for citation in block.get("citations") or []]
    elif block["type"] == "thinking":
        reading.thoughts += block["thinking"]
        reading.signatures.append(block["signature"])
    elif block["type"] == "tool_use":
        reading.calls.append((block["id"], block["name"], block["input"]))
    else:
        reading.others.append(block)


def recordings() -> list[Recording]:
    rows = (json.loads(line) for line in FILE.read_text(encoding="utf-8").split("\n") if line)
    return [Recording(row["id"], row["stream"], row["body"].encode()) for row in rows]
