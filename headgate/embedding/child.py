"""The program of the process that embeds: texts on stdin, vectors on stdout, until stdin ends.

It is a process of its own because loading the model and its libraries takes 0.4 s and 100 MB, much of it under
Python's global lock: in the gateway every stream would stand still, and the memory would stay.

Called with the embedder's folder. Frames are a length (4 bytes, big-endian) and MessagePack. The first frame that it
writes is empty text, or a sentence that says why it cannot work; then it ends. Each request is a list of texts, each
answer a list of vectors.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from headgate.errors import HeadgateError

LENGTH = struct.Struct(">I")
NICE = 5  # vectors may wait, streams may not


def serve(folder: Path, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests in order. Returns when the input ends, or at once if the embedder cannot be had."""

    def answer(value: str | list[bytes]) -> None:
        frame = msgspec.msgpack.encode(value)
        answers.write(LENGTH.pack(len(frame)) + frame)
        answers.flush()

    try:
        from headgate.embedding.offline import local_model

        model = local_model(folder)
    except HeadgateError as error:
        answer(error.message)
        return
    except ImportError as error:
        answer(f"The embedder needs {error.name}. Install headgate[embeddings].")
        return
    answer("")
    decoder = msgspec.msgpack.Decoder(list[str])
    while header := requests.read(LENGTH.size):
        texts = decoder.decode(requests.read(*LENGTH.unpack(header)))
        answer([vector.tobytes() for vector in model.embed(texts)])


if __name__ == "__main__":
    os.nice(NICE)
    serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
