"""Answers that Gemini and Vertex once gave (signatures and addresses shortened), and what a plain reading of them says.

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
    """What one candidate said."""

    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    input: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Recording:
    id: str
    stream: bool
    body: bytes

    def events(self) -> list[Any]:
        if self.stream:
            return [json.loads(event[6:]) for event in self.body.decode().split("\r\n\r\n") if event]
        whole = json.loads(self.body)
        return whole if isinstance(whole, list) else [whole]

    def reading(self) -> Reading:
        reading = Reading()
        for event in self.events():
            for candidate in event.get("candidates", []):
                for part in candidate.get("content", {}).get("parts", []):
                    _read(part, reading)
            usage = event.get("usageMetadata", {})
            if "promptTokenCount" in usage:
                reading.input = usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0)
                reading.reasoning = usage.get("thoughtsTokenCount", 0)
                reading.output = usage.get("candidatesTokenCount", 0) + reading.reasoning
        return reading


def _read(part: Any, reading: Reading) -> None:
    if "text" in part and part.get("thought"):
        reading.thoughts += part["text"]
    elif "text" in part:
        reading.text += part["text"]
    elif "args" in part.get("functionCall", {}):
        reading.calls.append((part["functionCall"]["name"], part["functionCall"]["args"]))
    if "thoughtSignature" in part and "toolCall" not in part and "toolResponse" not in part:
        reading.signatures.append(part["thoughtSignature"])


def recordings() -> dict[str, Recording]:
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").split("\n") if line]
    return {row["id"]: Recording(row["id"], row["stream"], row["body"].encode()) for row in rows}
