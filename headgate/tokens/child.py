"""The program of the process that counts tokens: requests on stdin, totals on stdout, until stdin ends.

It is a process of its own because loading a vocabulary holds Python's global lock for 0.2 to 0.6 s and takes 50 to
65 MB: in the gateway every stream would stand still, and the memory would stay. It must import nothing heavy, and ends
by itself when the gateway is gone, however that went.

A request is a length (4 bytes, big-endian) and MessagePack of (encoding, texts); the answer is 8 bytes, big-endian.
"""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

import msgspec
import toktok

LENGTH = struct.Struct(">I")
TOTAL = struct.Struct(">Q")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests in order. Returns when the input ends. Raises KeyError for an unknown encoding."""
    decoder = msgspec.msgpack.Decoder(tuple[str, list[str]])
    while header := requests.read(LENGTH.size):
        encoding, texts = decoder.decode(requests.read(*LENGTH.unpack(header)))
        answers.write(TOTAL.pack(sum(toktok.batch_count(texts, encoding, threads=1))))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
