"""The kind of job that writes a report on a topic: it plans sections, writes each in a step of its own, and joins them.
With documents it is made of what they say: of all of their text if that fits into every prompt, else of notes on them.

A worker that is lost costs the section it was at: those before are kept.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated

import msgspec

from headgate.document_errors import PartsFailed
from headgate.errors import InvalidRequest
from headgate.jobs.documents import MOST_LEFT_OUT, Document, LeftOut, Options, read_options
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models
from headgate.jobs.summaries import answer_text, chat_body, instructions
from headgate.jobs.tasks import Task
from headgate.policy.estimating import estimate_tokens
from headgate.policy.mapreduce import FRAME_TOKENS, MARGIN, chunks
from headgate.types import Caller, Frozen

REPORT = "report"
_LONGEST_TITLE = 200
_MARKS = re.compile(r"^\s*(?:[-*#]+|[0-9]+[.)])?\s*")  # what models put before the lines of a list
_PLAN = (
    "You plan reports. Name the sections of a report on the topic that you are given, at most {sections}, in their "
    "order: one title on each line, and nothing else."
)
_WRITE = (
    "You write one section of a report on: {topic}\n\nThe report has these sections:\n{titles}\n\nWrite the section "
    "that you are asked for, in Markdown without a heading, and nothing of the others."
)
_DOCUMENTS = "\n\nUse only what the documents say that come before the question, and name the one you have it from."
_NOTES = "Keep above all what a report on this topic needs: {topic}"
_TITLES_TOKENS = 60  # of each in the prompt
_LEAST_NOTE_TOKENS, _MOST_NOTE_TOKENS = 50, 1000


class ReportOptions(Options, frozen=True, kw_only=True):
    """What is to be written. `instructions` are added to every prompt; tokens are those of a section at most."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    model: str
    sections: Annotated[int, msgspec.Meta(ge=1, le=50)] = 12
    section_tokens: Annotated[int, msgspec.Meta(ge=50, le=32_000)] = 1500
    instructions: Annotated[str, msgspec.Meta(max_length=4000)] = ""

    @property
    def has_documents(self) -> bool:
        return bool(self.documents or self.files)

    def system(self, text: str) -> str:
        """A prompt's beginning, with the instructions."""
        told = f"{text}{_DOCUMENTS}" if self.has_documents else text
        return f"{told}\n\n{self.instructions}" if self.instructions else told


class Report(Frozen, frozen=True):
    """The result: `text` is Markdown, and has all sections. Nothing of what is left out is in it."""

    topic: str
    sections: tuple[str, ...]
    text: str
    left_out: tuple[LeftOut, ...] = ()


class Sources(Frozen, frozen=True):
    """What the documents come to, as it stands in every prompt."""

    text: str = ""
    left_out: tuple[LeftOut, ...] = ()


class Extent(Frozen, frozen=True):
    """How much the documents are, in estimated tokens and in pieces that fit into a prompt; and which are none."""

    tokens: int
    pieces: int
    left_out: tuple[LeftOut, ...]


class ReportKind:
    """As above."""

    public = True

    def __init__(self, models: Models, files: FileDocuments) -> None:
        self._models = models
        self._files = files

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`."""
        options = read_options(body, ReportOptions)
        self._models.check(caller, options.model, "model")
        if options.open:
            raise InvalidRequest("A report takes its documents with the request: 'documents' or 'files'.", param="open")
        if options.has_documents:
            options.check_documents()

    def files(self, body: bytes) -> tuple[str, ...]:
        """As `ReadsFiles.files`."""
        return read_options(body, ReportOptions).files

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        options = read_options(task.lease.request, ReportOptions)
        sources = Sources()
        if options.has_documents:
            sources = msgspec.json.decode(
                await task.step("sources", partial(self._sources, task, options)), type=Sources
            )
        asking = Asking(task, options, sources.text)
        titles = (await task.step("plan", asking.plan)).decode().split("\n")
        parts = [f"# {options.topic}"]
        for number, title in enumerate(titles, start=1):
            text = await task.step(f"{number}/{len(titles)} sections", partial(asking.write, titles, title))
            parts.append(f"## {title}\n\n{text.decode()}")
        whole = "\n\n".join(parts)
        return msgspec.json.encode(Report(options.topic, tuple(titles), f"{whole}\n", sources.left_out))

    async def _sources(self, task: Task, options: ReportOptions) -> bytes:
        """All documents word for word, or notes on each piece of them. Raises PartsFailed, InvalidRequest."""
        window = int(self._models.facts(options.model).context_tokens * (1 - MARGIN)) - options.section_tokens
        longest = options.system(f"{_PLAN}{_WRITE}{options.topic}")
        room = window - estimate_tokens(longest) - options.sections * _TITLES_TOKENS - FRAME_TOKENS
        extent = await self._measure(task, options, room)
        texts: list[str] = []
        if extent.tokens <= room:
            async for document in self._readable(task, options):
                texts.append(f"{document.name}:\n{document.text}")
            return msgspec.json.encode(Sources("\n\n".join(texts), extent.left_out))
        size = min(_MOST_NOTE_TOKENS, options.section_tokens, int(room * (1 - MARGIN)) // extent.pieces - FRAME_TOKENS)
        if size < _LEAST_NOTE_TOKENS:
            raise InvalidRequest(
                f"The documents have about {extent.tokens:,} tokens. '{options.model}' cannot even read notes on them "
                "at once. Use a model with a larger context, or fewer documents.",
                param="model",
            )
        async for document in self._readable(task, options):
            for number, piece in enumerate(chunks(document.text, room), start=1):
                note = partial(_note, task, options, f"{document.name}\n\n{piece}", size)
                text = await task.step(f"notes {len(texts) + 1} of {extent.pieces}", note)
                texts.append(f"{document.name}, part {number}:\n{text.decode()}")
        return msgspec.json.encode(Sources("\n\n".join(texts), extent.left_out))

    async def _measure(self, task: Task, options: ReportOptions, room: int) -> Extent:
        tokens, pieces, count = 0, 0, 0
        left_out: list[LeftOut] = []
        async for document in self._files.documents(task, options):
            count += 1
            try:
                document.check()
            except InvalidRequest as error:
                left_out.append(LeftOut(document.name, error.code, error.message))
                continue
            tokens += estimate_tokens(document.text) + FRAME_TOKENS
            for _ in chunks(document.text, room):
                pieces += 1
                await asyncio.sleep(0)  # a long text takes a while to cut
        if not pieces:
            raise PartsFailed(f"Nothing could be read: all {count} documents failed. {left_out[-1].message}")
        return Extent(tokens, pieces, tuple(left_out[:MOST_LEFT_OUT]))

    async def _readable(self, task: Task, options: ReportOptions) -> AsyncIterator[Document]:
        async for document in self._files.documents(task, options):
            if not document.error_code and document.text.strip():
                yield document


async def _note(task: Task, options: ReportOptions, text: str, tokens: int) -> bytes:
    system = instructions(is_reduce=False, summary_tokens=tokens, wishes=_NOTES.format(topic=options.topic))
    return answer_text(await task.ask("chat", chat_body(options.model, system, text, tokens)))[0].encode()


class Asking:
    """What a model is asked for one report. `sources` stand before each question."""

    def __init__(self, task: Task, options: ReportOptions, sources: str) -> None:
        self._task = task
        self._options = options
        self._sources = sources

    async def plan(self) -> bytes:
        """The titles, one on each line."""
        options = self._options
        answer = await self._ask(_PLAN.format(sections=options.sections), options.topic)
        lines = [_MARKS.sub("", line).strip()[:_LONGEST_TITLE] for line in answer.split("\n")]
        titles = [line for line in lines if line][: options.sections]
        return "\n".join(titles or [" ".join(options.topic.split())[:_LONGEST_TITLE]]).encode()

    async def write(self, titles: Sequence[str], title: str) -> bytes:
        """A section."""
        return (await self._ask(_WRITE.format(topic=self._options.topic, titles="\n".join(titles)), title)).encode()

    async def _ask(self, system: str, question: str) -> str:
        options = self._options
        told = f"{self._sources}\n\n{question}" if self._sources else question
        body = chat_body(options.model, options.system(system), told, options.section_tokens)
        return answer_text(await self._task.ask("chat", body))[0]


def report_kinds(models: Models, files: FileDocuments) -> dict[str, Kind]:
    """By name."""
    return {REPORT: ReportKind(models, files)}
