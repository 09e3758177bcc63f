"""File -> checked configuration. Owns the order of the steps; each step is a module of its own.

read -> document (YAML, positions) -> decode (types, substitution) -> check (the whole) -> check_files (those it names)
-> Loaded, or ConfigInvalid with every problem that was found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from headgate.config.catalogue import Catalogue
from headgate.config.check import check
from headgate.config.decode import decode
from headgate.config.defaults import zero_config
from headgate.config.document import read_document
from headgate.config.files import check_files
from headgate.config.problems import NOWHERE, Findings, Origin
from headgate.config.schema import Config
from headgate.config.substitute import Substitution
from headgate.errors import ConfigInvalid
from headgate.types import Problem

MAX_FILE_BYTES = 1_000_000
BUILT_IN = "(no file)"  # the source when no configuration file is given
HASH_DIGITS = 12


class Loaded(msgspec.Struct, frozen=True):
    """A configuration that can be used, and where it is from."""

    config: Config
    source: str  # the path as it was given, or BUILT_IN
    hash: str  # of the file's text before substitution, so that secrets have no part in it
    notes: tuple[Problem, ...]  # warnings and notes, in the order of the file


def load(path: str | None, environ: Mapping[str, str], workers: int = 1) -> Loaded:
    """Read and check a configuration file for so many processes; None: no file, see `zero_config`.

    `environ` is where `${NAME}` comes from; nothing else is read from the environment. Raises ConfigInvalid.
    """
    if path is None:
        config = zero_config(environ)
        return _checked(config, Findings(BUILT_IN, NOWHERE), "\n".join(config.models).encode(), workers)
    return parse(_read(path), path, environ, workers)


def parse(content: bytes, path: str, environ: Mapping[str, str], workers: int = 1) -> Loaded:
    """As `load`, with the content of the file at hand; relative `${file:PATH}` start beside `path`."""
    findings = Findings(path)
    node = read_document(_text(content, findings), findings)
    if node is None and findings.errors():
        raise ConfigInvalid(findings.errors())
    config = decode(node, findings, Substitution(environ, Path(path).parent))
    return _checked(config, findings, content, workers)


def _checked(config: Config, findings: Findings, content: bytes, workers: int) -> Loaded:
    check(config, findings, Catalogue.packaged(), workers)
    check_files(config, findings)
    if findings.errors():
        raise ConfigInvalid(findings.errors())
    return Loaded(config, findings.path, hashlib.sha256(content).hexdigest()[:HASH_DIGITS], findings.all())


def _read(path: str) -> bytes:
    findings = Findings(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
        _refuse(findings, f"cannot be read: {reason}", "give the path of a YAML file")
    if len(content) > MAX_FILE_BYTES:
        _refuse(findings, f"larger than {MAX_FILE_BYTES:,} bytes", "is it the right file?")
    return content


def _text(content: bytes, findings: Findings) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        at = Origin(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        _refuse(findings, "not UTF-8 text", "save the file as UTF-8", at)


def _refuse(findings: Findings, message: str, hint: str, at: Origin = NOWHERE) -> NoReturn:
    findings.error((), message, hint, at)
    raise ConfigInvalid(findings.errors())
