"""The kinds of jobs that take the same facts out of each of many documents, as JSON that a schema describes.

An answer that does not fit the schema is shown to the model once more, with what is wrong with it.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from headgate.document_errors import AnswerInvalid, PartsFailed
from headgate.errors import InvalidRequest, MissingExtra
from headgate.jobs.documents import KnownOptions, Options, read_options
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models, at_least
from headgate.jobs.summaries import answer_text
from headgate.jobs.tasks import Task, Waiting
from headgate.policy.estimating import estimate_tokens
from headgate.policy.mapreduce import FRAME_TOKENS, MARGIN, Load, Share
from headgate.types import Caller

EXTRACT, EXTRACT_ONE = "extract", "extract-document"
_MOST_SCHEMA_BYTES = 50_000
_AGAIN_TOKENS = 200  # of what is wrong with an answer
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DRAFTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
)
_SYSTEM = (
    "You take facts out of documents. Answer with one JSON value that fits this JSON schema, and with nothing else. "
    "Take only what the document says; what it does not say is left out, or null if the schema wants it.\n\n{schema}"
)
_AGAIN = "That does not fit the schema: {why}. Answer again with the whole JSON value, corrected, and nothing else."


class ExtractOptions(Options, frozen=True, kw_only=True):
    """What is to be done. `schema` is a JSON schema (2020-12 unless it says otherwise)."""

    model: str
    schema: dict[str, Any]
    instructions: str = ""
    answer_tokens: int = 1000

    @property
    def system(self) -> str:
        """The beginning of every prompt."""
        told = _SYSTEM.format(schema=msgspec.json.encode(self.schema).decode())
        return f"{told}\n\n{self.instructions}" if self.instructions else told


class ExtractKind:
    """The coordinator. Its result says how many succeeded; the values are in the items of the job of documents."""

    public = True

    def __init__(self, models: Models, files: FileDocuments) -> None:
        self._models = models
        self._files = files

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`. Raises MissingExtra without the package that knows schemas."""
        options = read_options(body, ExtractOptions)
        self.check_options(caller, options, self._models)
        options.check_documents()

    def files(self, body: bytes) -> tuple[str, ...]:
        """As `ReadsFiles.files`."""
        return read_options(body, ExtractOptions).files

    @staticmethod
    def check_options(caller: Caller, options: ExtractOptions, models: Models) -> None:
        """Raises InvalidRequest, ModelNotFound, MissingExtra."""
        models.check(caller, options.model, "model")
        at_least(options.answer_tokens, 1, "answer_tokens")
        schema = msgspec.json.encode(options.schema)
        if len(schema) > _MOST_SCHEMA_BYTES:
            raise InvalidRequest(f"A schema has at most {_MOST_SCHEMA_BYTES} bytes.", param="schema")
        validator_of(schema)

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        options = read_options(task.lease.request, ExtractOptions)
        below = await self._files.below(task, options, EXTRACT_ONE)
        if not below.is_over:
            raise Waiting
        if not below.counts.succeeded:
            raise PartsFailed(f"Nothing was extracted: all {below.counts.total} documents failed. {below.error}")
        counts = {"documents": below.counts.total, "extracted": below.counts.succeeded, "results": below.id}
        return msgspec.json.encode(counts)


def most(options: ExtractOptions, load: Load) -> Share:
    """What the model has to do if every first answer does not fit, and is as long as it may be."""
    prompt = estimate_tokens(options.system) + FRAME_TOKENS
    asked_again = options.answer_tokens + _AGAIN_TOKENS
    count = load.documents
    tokens = 2 * (load.text_tokens + count * prompt) + count * asked_again
    return Share(2 * count, tokens, 2 * count * options.answer_tokens)


class ExtractOneKind:
    """One document: the value that the schema describes."""

    public = False

    def __init__(self, models: Models, files: FileDocuments) -> None:
        self._models = models
        self._files = files
        self._options = KnownOptions(ExtractOptions)

    def check(self, caller: Caller, body: bytes) -> None:
        """What cannot be read is told when it is its turn."""

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`. Raises AnswerInvalid."""
        document = await self._files.document(task)
        options = await self._options.of(task)
        window = self._models.facts(options.model).context_tokens * (1 - MARGIN)
        if estimate_tokens(options.system + document.text) + 2 * options.answer_tokens > window:
            raise InvalidRequest(f"'{document.name}' is too long for the model '{options.model}': split it.")
        messages = [
            {"role": "system", "content": options.system},
            {"role": "user", "content": f"{document.name}\n\n{document.text}"},
        ]
        answer = await _ask(task, options, messages)
        value, why = fitting(answer, options)
        if why:
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": _AGAIN.format(why=why)},
            ]
            value, why = fitting(await _ask(task, options, messages), options)
        if why:
            raise AnswerInvalid(f"The answer for '{document.name}' does not fit the schema, asked twice: {why}.")
        return value


async def _ask(task: Task, options: ExtractOptions, messages: list[dict[str, str]]) -> str:
    body = {"model": options.model, "messages": messages, "max_tokens": options.answer_tokens}
    return answer_text(await task.ask("chat", msgspec.json.encode(body)))[0]


def fitting(answer: str, options: ExtractOptions) -> tuple[bytes, str]:
    """The JSON of an answer, and why it does not fit the schema, empty if it does. A fence of Markdown is no part."""
    text = answer.strip()
    if text.startswith("```"):
        text = text.removesuffix("```").partition("\n")[2]
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return b"", f"it is not valid JSON ({error})"
    validate = validator_of(msgspec.json.encode(options.schema))
    problem = next(iter(validate.iter_errors(value)), None)
    if problem is None:
        return msgspec.json.encode(value), ""
    place = "".join(f"[{part!r}]" for part in problem.instance_path) or "the value"
    return b"", f"{place}: {problem.message[:300]}"


@functools.lru_cache(maxsize=64)
def validator_of(schema: bytes) -> Any:
    """Raises InvalidRequest for what is no schema, and for references to elsewhere, which are not followed."""
    try:
        import jsonschema_rs
    except ImportError:
        raise MissingExtra("Jobs of the kind 'extract' need jsonschema-rs. Install headgate[documents].") from None
    value = msgspec.json.decode(schema)
    if _refers_outside(value):
        raise InvalidRequest(
            "A schema refers to its own parts only, '#/...', and its '$schema' is one of json-schema.org, draft 04 to "
            "2020-12.", param="schema",
        )  # fmt: skip
    try:
        return jsonschema_rs.validator_for(value)
    except ValueError as error:
        why = str(error).partition("\n")[0][:300]
        raise InvalidRequest(f"That is no JSON schema: {why}", param="schema") from None


def _refers_outside(part: object) -> bool:
    """Whether the library would have to ask somebody for another schema, which it does where it knows none."""
    if isinstance(part, dict):
        targets = [part[name] for name in _REFERENCES if name in part]
        inside = all(not isinstance(target, str) or target.startswith("#") for target in targets)
        draft = part.get("$schema", _DRAFTS[0])  # or, within `properties`, what describes one of that name
        known = isinstance(draft, dict) or str(draft).removesuffix("#") in _DRAFTS
        return not (inside and known) or any(map(_refers_outside, part.values()))
    return isinstance(part, list) and any(map(_refers_outside, part))


def extract_kinds(models: Models, files: FileDocuments) -> dict[str, Kind]:
    """Those that one extraction takes."""
    return {EXTRACT: ExtractKind(models, files), EXTRACT_ONE: ExtractOneKind(models, files)}
