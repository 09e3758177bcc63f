"""HTTP by hand, for what no client library would send."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from types import TracebackType

from tests.e2e.gateway import ALICE, HOST, Gateway, Json

CHAT = "/v1/chat/completions"
HELLO_BODY = b'{"model": "small", "messages": [{"role": "user", "content": "Hello"}]}'
STREAM_BODY = HELLO_BODY[:-1] + b', "stream": true}'
WAIT_SECONDS = 120.0


class Response:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> Json:
        """The error object; asserts that it has OpenAI's shape and tells the request's id."""
        assert self.headers["content-type"] == "application/json", self.body
        value: Json = json.loads(self.body)
        error: Json = value["error"]
        assert error.keys() == {"message", "type", "param", "code", "request_id"}
        assert error["message"] and error["type"] and error["code"]
        assert error["request_id"] == self.headers["x-request-id"]
        return error

    def is_refusal(self, status: int, code: str) -> None:
        assert (self.status, self.error["code"]) == (status, code), self.body


class Wire:
    """One connection."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.create_connection((HOST, gateway.port), timeout=WAIT_SECONDS)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, method: str = "POST") -> Response:
        """The next response."""
        response = http.client.HTTPResponse(_Reading(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())

    def headers(self) -> dict[str, str]:
        """Those of the next response, whose body stays unread."""
        lines = iter(self.line, b"\r\n")
        next(lines)
        named = (line.decode().split(":", 1) for line in lines)
        return {name.lower(): value.strip() for name, value in named}

    def line(self) -> bytes:
        """The next line as it came."""
        return self._file.readline()

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return self._file.read()

    def ended(self) -> bool:
        """Whether the gateway closes the connection without another byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class _Reading:
    """Lets responses that follow each other share what was read ahead."""

    def __init__(self, file: object) -> None:
        self._file = file

    def makefile(self, _mode: str) -> object:
        return _Shared(self._file)


class _Shared:
    """A file that a response may close without closing the connection's."""

    def __init__(self, file: object) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def head(method: str = "POST", path: str = CHAT, *lines: str, key: str = ALICE, version: str = "1.1") -> bytes:
    """A request's head."""
    all_lines = [f"{method} {path} HTTP/{version}", "host: gateway", f"authorization: Bearer {key}", *lines]
    return "\r\n".join(all_lines).encode("latin-1") + b"\r\n\r\n"


def post(body: bytes, *lines: str, path: str = CHAT, key: str = ALICE, version: str = "1.1") -> bytes:
    """A whole POST."""
    return head("POST", path, f"content-length: {len(body)}", *lines, key=key, version=version) + body


def ask(gateway: Gateway, *data: bytes, method: str = "POST") -> Response:
    """Send this on a connection of its own and return the response."""
    with Wire(gateway) as wire:
        wire.send(*data)
        return wire.receive(method)
