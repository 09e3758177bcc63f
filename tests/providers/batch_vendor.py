"""Servers that behave as the batch APIs of OpenAI, Anthropic and Gemini are specified to: a batch runs until the test
lets it end, and each request ends as its prompt asks: `fail 400`, `fail 500`, `expire`, or with an answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREATED_AT = 1_790_000_000


@dataclass
class Batch:
    """One batch at the vendor. `requests` are (id of the line, prompt)."""

    id: str
    name: str
    requests: list[tuple[str, str]]
    created_at: float
    state: str = "running"  # running, ended, expired, cancelled, failed
    done: list[str] = field(default_factory=list)


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class Vendor:
    """Common to all: what was asked, and how batches end. `breaks` cuts the next answers to submissions."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.batches: list[Batch] = []
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []  # files, and batches where they are deleted as such
        self.keeps = False  # answers 500 to whoever wants something deleted
        self.breaks = 0
        self.refuses: tuple[int, str] | None = None
        self.now = float(CREATED_AT)

    def end(self, state: str = "ended") -> None:
        for batch in self.batches:
            if batch.state == "running":
                batch.state = state

    def add(self, name: str, requests: list[tuple[str, str]]) -> Batch:
        batch = Batch(f"batch_{len(self.batches) + 1}", name, requests, self.now)
        self.batches.append(batch)
        return batch

    def find(self, batch_id: str) -> Batch:
        return next(batch for batch in self.batches if batch.id == batch_id)

    def fate(self, batch: Batch, prompt: str) -> str:
        """How a request ended. Of a batch that was cancelled or ran out of time every second had been done."""
        number = [words for _, words in batch.requests].index(prompt)
        if batch.state in ("expired", "cancelled") and number % 2:
            return batch.state
        return "expired" if prompt == "expire" else prompt if prompt.startswith("fail") else "done"

    def delete(self, name: str) -> tuple[int, Any]:
        if self.keeps:
            return 500, {"error": {"message": "it is in use", "type": "server_error"}}
        if name in self.deleted:
            return 404, {"error": {"message": "there is no such thing", "type": "invalid_request_error"}}
        self.deleted.append(name)
        return 200, {"id": name, "deleted": True}

    def handle(self, call: Call) -> tuple[int, Any]:
        raise AssertionError(call.path)


def chat_answer(prompt: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"about {prompt}"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": CREATED_AT, "model": "theirs",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip


class OpenAIVendor(Vendor):
    """POST /files, /batches; GET /batches, /batches/ID, /files/ID/content; POST /batches/ID/cancel."""

    listed_at_once = 2  # whatever `limit` says: so that there are pages

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, str] = {}  # the name of a file, by its id
        self.inputs: dict[str, str] = {}  # the id of a batch's, by the batch's name

    def handle(self, call: Call) -> tuple[int, Any]:
        path = call.path.removeprefix("/v1").removeprefix("/openai/v1").removeprefix("/openai")
        if (call.method, path) == ("POST", "/files"):
            content = re.search(rb"application/jsonl\r\n\r\n(.*)\r\n--", call.body, re.DOTALL)
            assert content is not None and b'name="purpose"\r\n\r\nbatch\r\n' in call.body
            name = f"file-{len(self.files) + 1}"
            self.files[name] = content[1]
            written = re.search(rb'filename="([^"]*)"', call.body)
            assert written is not None
            self.uploads[name] = written[1].decode()
            return 200, {"id": name, "object": "file", "purpose": "batch"}
        if call.method == "DELETE":
            return self.delete(path.removeprefix("/files/"))
        if path == "/files":
            assert call.query["purpose"] == ["batch"]
            left = {name: words for name, words in self.uploads.items() if name not in self.deleted}
            files = [{"id": name, "filename": words, "created_at": self.now} for name, words in left.items()]
            return 200, {"object": "list", "data": files[::-1], "has_more": False}
        if (call.method, path) == ("POST", "/batches"):
            made = json.loads(call.body)
            self.inputs[made["metadata"]["headgate_batch"]] = made["input_file_id"]
            assert made["completion_window"] == "24h"
            lines = [json.loads(line) for line in self.files[made["input_file_id"]].split(b"\n") if line]
            assert all(line["method"] == "POST" and line["url"] == made["endpoint"] for line in lines)
            prompts = [(line["custom_id"], line["body"]["messages"][-1]["content"]) for line in lines]
            return 200, self.view(self.add(made["metadata"]["headgate_batch"], prompts))
        if (call.method, path) == ("GET", "/batches"):
            newest_first = self.batches[::-1]
            after = call.query.get("after", [""])[0]
            begin = next((at + 1 for at, one in enumerate(newest_first) if one.id == after), 0)
            page = newest_first[begin : begin + self.listed_at_once]
            return 200, {
                "object": "list",
                "data": list(map(self.view, page)),
                "has_more": begin + len(page) < len(newest_first),
            }
        if match := re.fullmatch(r"/files/(batch_\d+)-(output|error)/content", path):
            return 200, self.lines(self.find(match[1]), match[2])
        if match := re.fullmatch(r"/batches/(batch_\d+)(/cancel)?", path):
            batch = self.find(match[1])
            if match[2] and batch.state == "running":
                batch.state = "cancelling"
            return 200, self.view(batch)
        raise AssertionError(path)

    def view(self, batch: Batch) -> dict[str, Any]:
        status = {"running": "in_progress", "ended": "completed"}.get(batch.state, batch.state)
        ended = status in ("completed", "expired", "cancelled")
        return {
            "id": batch.id, "object": "batch", "status": status, "created_at": batch.created_at,
            "metadata": {"headgate_batch": batch.name},
            "errors": {"object": "list", "data": [{"code": "x", "message": "line 3 is wrong"}]}
            if status == "failed" else None,
            "input_file_id": self.inputs.get(batch.name), "output_file_id": f"{batch.id}-output" if ended else None,
            "error_file_id": f"{batch.id}-error" if ended else None,
            "request_counts": {"total": len(batch.requests), "completed": 0, "failed": 0},
        }  # fmt: skip

    def lines(self, batch: Batch, which: str) -> bytes:
        written = []
        for custom_id, prompt in reversed(batch.requests):
            fate = self.fate(batch, prompt)
            line: dict[str, Any] = {"id": "x", "custom_id": custom_id, "response": None, "error": None}
            if fate == "done":
                line["response"] = {"status_code": 200, "request_id": "r", "body": chat_answer(prompt)}
            elif fate in ("expired", "cancelled"):
                line["error"] = {"code": f"batch_{fate}", "message": "This request was not executed."}
            else:
                error = {"error": {"message": f"no: {prompt}", "type": "invalid_request_error"}}
                line["response"] = {"status_code": int(fate[5:]), "request_id": "r", "body": error}
            if (fate == "done") == (which == "output"):
                written.append(json.dumps(line, ensure_ascii=False))
        return "\n".join(written).encode()


class AnthropicVendor(Vendor):
    """POST and GET /v1/messages/batches, GET /ID, /ID/results, POST /ID/cancel."""

    def handle(self, call: Call) -> tuple[int, Any]:
        assert call.headers["anthropic-version"]
        path = call.path.removeprefix("/v1/messages/batches")
        if not path and call.method == "POST":
            lines = json.loads(call.body)["requests"]
            assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", line["custom_id"]) for line in lines)
            return 200, self.view(self.add("", [(line["custom_id"], words(line["params"])) for line in lines]))
        if not path:
            return 200, {"data": [self.view(one) for one in self.batches[::-1]], "has_more": False, "last_id": None}
        _, batch_id, *rest = path.split("/")
        batch = self.find(batch_id)
        if call.method == "DELETE":
            return self.delete(batch_id)
        if rest == ["cancel"] and batch.state == "running":
            batch.state = "cancelling"
        return 200, self.lines(batch) if rest == ["results"] else self.view(batch)

    def view(self, batch: Batch) -> dict[str, Any]:
        status = {"running": "in_progress", "cancelling": "canceling"}.get(batch.state, "ended")
        return {
            "id": batch.id, "type": "message_batch", "processing_status": status, "created_at": "2026-09-21T14:13:20Z",
            "request_counts": {"processing": len(batch.requests), "succeeded": 0, "errored": 0, "canceled": 0,
                               "expired": 0},
        }  # fmt: skip

    def lines(self, batch: Batch) -> bytes:
        written = []
        for custom_id, prompt in reversed(batch.requests):
            fate = self.fate(batch, prompt)
            if fate == "done":
                usage = {"input_tokens": 10, "output_tokens": 5}
                content = [{"type": "text", "text": f"about {prompt}"}]
                message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "theirs", "content": content,
                           "stop_reason": "end_turn", "usage": usage}  # fmt: skip
                result: dict[str, Any] = {"type": "succeeded", "message": message}
            elif fate in ("expired", "cancelled"):
                result = {"type": fate.replace("cancelled", "canceled")}
            else:
                kind = "invalid_request_error" if fate == "fail 400" else "api_error"
                error = {"type": "error", "error": {"type": kind, "message": f"no: {prompt}"}}
                result = {"type": "errored", "error": error}
            written.append(json.dumps({"custom_id": custom_id, "result": result}))
        return "\n".join(written).encode()


def words(params: dict[str, Any]) -> str:
    content = params["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


class GeminiVendor(Vendor):
    """POST /v1beta/models/M:batchGenerateContent; GET /v1beta/batches, /batches/ID; POST /batches/ID:cancel."""

    def handle(self, call: Call) -> tuple[int, Any]:
        path = call.path.removeprefix("/v1beta/")
        if path.endswith(":batchGenerateContent"):
            batch = json.loads(call.body)["batch"]
            lines = batch["inputConfig"]["requests"]["requests"]
            prompts = [(one["metadata"]["key"], one["request"]["contents"][-1]["parts"][0]["text"]) for one in lines]
            return 200, self.view(self.add(batch["displayName"], prompts))
        if path == "batches":
            return 200, {"operations": list(map(self.view, self.batches[::-1]))}
        batch_id, _, method = path.removeprefix("batches/").partition(":")
        if call.method == "DELETE":
            return self.delete(path)
        found = self.find(batch_id)
        if method == "cancel" and found.state == "running":
            found.state = "cancelling"
        return 200, {} if method else self.view(found)

    def view(self, batch: Batch) -> dict[str, Any]:
        state = {"running": "RUNNING", "ended": "SUCCEEDED", "cancelling": "RUNNING"}.get(
            batch.state, batch.state.upper()
        )
        view: dict[str, Any] = {
            "name": f"batches/{batch.id}",
            "metadata": {"state": f"BATCH_STATE_{state}", "displayName": batch.name,
                         "batchStats": {"requestCount": str(len(batch.requests))}},
        }  # fmt: skip
        if batch.state == "failed":
            view["error"] = {"code": 3, "message": "line 3 is wrong"}
        if batch.state in ("ended", "expired", "cancelled"):
            view["done"] = True
            answers = [answer for one in batch.requests if (answer := self.answer(batch, *one)) is not None]
            view["response"] = {"inlinedResponses": {"inlinedResponses": answers}}
        return view

    def answer(self, batch: Batch, key: str, prompt: str) -> dict[str, Any] | None:
        fate = self.fate(batch, prompt)
        if fate == "expired":
            return None  # nothing is said of it
        if fate == "cancelled":
            return {"metadata": {"key": key}, "error": {"code": 1, "message": "cancelled"}}
        if fate == "done":
            content = {"role": "model", "parts": [{"text": f"about {prompt}"}]}
            usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
            response = {
                "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                "usageMetadata": usage,
            }
            return {"metadata": {"key": key}, "response": response}
        code = 3 if fate == "fail 400" else 13
        return {"metadata": {"key": key}, "error": {"code": code, "message": f"no: {prompt}"}}


VENDORS = {"openai": OpenAIVendor, "azure": OpenAIVendor, "anthropic": AnthropicVendor, "gemini": GeminiVendor}


@asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[str]:
    """The vendor's address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answer(vendor, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _answer(vendor: Vendor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    call = Call(method, url.path, parse_qs(url.query), headers, body)
    vendor.calls.append(call)
    submits = method == "POST" and url.path.endswith(("/batches", ":batchGenerateContent"))
    if submits and vendor.refuses is not None:
        status, answer = vendor.refuses[0], {"error": {"message": vendor.refuses[1], "type": "invalid_request_error"}}
    else:
        status, answer = vendor.handle(call)
    if submits and vendor.breaks:
        vendor.breaks -= 1
        return False  # it has the batch, and nobody hears of it
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(data)))
    writer.write(data)
    await writer.drain()
    return True
