"""The program of the process that reads documents: files on stdin, their texts on stdout, until stdin ends.

It is a process of its own because a PDF may take minutes or more memory than there is, and may end whoever reads it.
It ends by itself when its parent is gone.

A request is a length (4 bytes, big-endian) and MessagePack of (name, content); the answer is a length and MessagePack
of (text, code, message), of which the last two say what is wrong with the document.
"""

from __future__ import annotations

import resource
import struct
import sys
from typing import BinaryIO

import msgspec

from headgate.document_errors import DocumentBroken
from headgate.documents.reading import text_of
from headgate.errors import HeadgateError

LENGTH = struct.Struct(">I")
MOST_MEMORY_BYTES = 2 * 2**30


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests in order. Returns when the input ends."""
    decoder = msgspec.msgpack.Decoder(tuple[str, bytes])
    while header := requests.read(LENGTH.size):
        name, content = decoder.decode(requests.read(*LENGTH.unpack(header)))
        told = msgspec.msgpack.encode(_read(name, content))
        answers.write(LENGTH.pack(len(told)) + told)
        answers.flush()


def _read(name: str, content: bytes) -> tuple[str, str, str]:
    try:
        return text_of(name, content), "", ""
    except MemoryError:
        return "", DocumentBroken.code, f"Reading '{name}' takes more than {MOST_MEMORY_BYTES >> 30} GiB of memory."
    except HeadgateError as error:
        return "", error.code, error.message


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    serve(sys.stdin.buffer, sys.stdout.buffer)
