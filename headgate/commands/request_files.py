"""Files of requests for jobs, one JSON object on each line: read twice and never held as a whole. What is too much for
one request to the server goes up in portions, and the job begins with the last of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from headgate.admin.job_shapes import JobView
from headgate.commands.asking import Server
from headgate.errors import InvalidRequest

PORTION_BYTES = 4_000_000
PORTION_LINES = 5_000
_MARK = b"\xef\xbb\xbf"  # some editors begin UTF-8 with it

Body = Mapping[str, object]


def submit_file(server: Server, file: Path, wanted: Body, *, once: bool = False) -> JobView:
    """The job of a file's requests; `wanted` stands beside them. `once`: the same file with the same `wanted` is the
    same job, and goes on where its sending was stopped. Raises InvalidRequest, naming the line that is wrong: then
    there is no job."""
    key, count = _look(file, wanted)
    headers = {"idempotency-key": key} if once else {}
    portions = _portions(file)
    first = next(portions)
    try:
        if len(first) == count:
            return _job(server.ask("POST", "/v1/jobs", {**wanted, "requests": first}, headers))
        job = _job(server.ask("POST", "/v1/jobs", {**wanted, "open": True}, headers))
    except InvalidRequest as error:
        raise _named(error, file) from None
    return _send(server, job, file, count, once=once)


def _send(server: Server, job: JobView, file: Path, count: int, *, once: bool) -> JobView:
    """What is there already is not sent again."""
    path, number = f"/v1/jobs/{job.id}", 1
    if job.finished_at is not None:
        return job
    try:
        for portion in _portions(file):
            if number + len(portion) - 1 > job.progress.total:
                server.ask("POST", f"{path}/requests", {"requests": portion, "first": number})
            number += len(portion)
        return _job(server.ask("POST", f"{path}/requests", {"requests": [], "first": number, "last": True}))
    except (InvalidRequest, KeyboardInterrupt) as error:
        if once and not _is_of_a_line(error):
            again = "The job begins when all are there. Give the same command again: it goes on."
            why = str(error) or "You stopped it."
            raise InvalidRequest(f"{why} {number - 1} of {count} requests were sent to {job.id}. {again}") from None
        server.ask("DELETE", f"{path}?cancel=true")
        if isinstance(error, InvalidRequest):
            raise _named(error, file) from None
        raise


def _look(file: Path, wanted: Body) -> tuple[str, int]:
    """What the job is known by, and how many requests there are. Raises InvalidRequest for a line that is no JSON."""
    digest, count = hashlib.sha256(msgspec.json.encode(wanted)), 0
    for number, line in _lines(file):
        try:
            msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"Line {number} of {file} is not valid JSON: {error}.") from None
        digest.update(line + b"\n")
        count += 1
    if not count:
        raise InvalidRequest(f"{file} has no requests: write one JSON object on each line.")
    return digest.hexdigest(), count


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with something in them, by number. JSON has line breaks of its own kind only: U+2028 is none."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, start=1):
            if stripped := (line.removeprefix(_MARK) if number == 1 else line).strip():
                yield number, stripped


def _portions(file: Path) -> Iterator[list[msgspec.Raw]]:
    portion: list[msgspec.Raw] = []
    size = 0
    for _, line in _lines(file):
        if portion and (size + len(line) > PORTION_BYTES or len(portion) == PORTION_LINES):
            yield portion
            portion, size = [], 0
        portion.append(msgspec.Raw(line))
        size += len(line)
    yield portion


def _is_of_a_line(error: BaseException) -> bool:
    return isinstance(error, InvalidRequest) and (error.param or "").startswith("request")


def _named(error: InvalidRequest, file: Path) -> InvalidRequest:
    """With the line of the file that it is about, if it is about one."""
    name, _, rest = (error.param or "").partition(".")
    digits = "".join(filter(str.isdecimal, name))
    if not _is_of_a_line(error) or (name == "requests" or (name == "request" and not rest)):
        return error
    line = next(islice(_lines(file), int(digits or 0), None), (0, b""))[0]
    place = f", '{rest}'" if rest else ""
    return InvalidRequest(f"Line {line} of {file}{place}: {error.message} Nothing was submitted.")


def _job(told: bytes) -> JobView:
    return msgspec.json.decode(told, type=JobView)
