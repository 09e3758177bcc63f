"""The kind of job that writes a report on a topic: it plans sections, writes each in a step of its own, and joins them.

A worker that is lost costs the section it was at: those before are kept.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

import msgspec

from headgate.errors import InvalidRequest
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models
from headgate.jobs.summaries import answer_text, chat_body
from headgate.jobs.tasks import Task
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


class ReportOptions(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be written. `instructions` are added to every prompt; tokens are those of a section at most."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    model: str
    sections: Annotated[int, msgspec.Meta(ge=1, le=50)] = 12
    section_tokens: Annotated[int, msgspec.Meta(ge=50, le=32_000)] = 1500
    instructions: Annotated[str, msgspec.Meta(max_length=4000)] = ""

    def system(self, text: str) -> str:
        """A prompt's beginning, with the instructions."""
        return f"{text}\n\n{self.instructions}" if self.instructions else text


class Report(Frozen, frozen=True):
    """The result: `text` is Markdown, and has all sections."""

    topic: str
    sections: tuple[str, ...]
    text: str


class ReportKind:
    """As above."""

    public = True

    def __init__(self, models: Models) -> None:
        self._models = models

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`."""
        self._models.check(caller, _options(body).model, "model")

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        options = _options(task.lease.request)
        planned = (await task.step("plan", partial(_plan, task, options))).decode()
        titles = planned.split("\n")
        parts = [f"# {options.topic}"]
        for number, title in enumerate(titles, start=1):
            write = partial(_write, task, options, titles, title)
            text = await task.step(f"{number}/{len(titles)} sections", write)
            parts.append(f"## {title}\n\n{text.decode()}")
        whole = "\n\n".join(parts)
        return msgspec.json.encode(Report(options.topic, tuple(titles), f"{whole}\n"))


def _options(body: bytes) -> ReportOptions:
    try:
        return msgspec.json.decode(body, type=ReportOptions)
    except msgspec.DecodeError as error:
        what, _, place = str(error).partition(" - at `$")
        raise InvalidRequest(f"{what}.", param=place.strip(".`") or None) from None


async def _plan(task: Task, options: ReportOptions) -> bytes:
    """The titles, one on each line."""
    system = options.system(_PLAN.format(sections=options.sections))
    answer = await task.ask("chat", chat_body(options.model, system, options.topic, options.section_tokens))
    lines = [_MARKS.sub("", line).strip()[:_LONGEST_TITLE] for line in answer_text(answer)[0].split("\n")]
    titles = [line for line in lines if line][: options.sections]
    return "\n".join(titles or [" ".join(options.topic.split())[:_LONGEST_TITLE]]).encode()


async def _write(task: Task, options: ReportOptions, titles: list[str], title: str) -> bytes:
    system = options.system(_WRITE.format(topic=options.topic, titles="\n".join(titles)))
    answer = await task.ask("chat", chat_body(options.model, system, title, options.section_tokens))
    return answer_text(answer)[0].encode()


def report_kinds(models: Models) -> dict[str, Kind]:
    """By name."""
    return {REPORT: ReportKind(models)}
