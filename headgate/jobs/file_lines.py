"""The requests of a batch, out of its file and into a job; and what came of them, into files again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from headgate.errors import InvalidRequest
from headgate.file_ports import Files
from headgate.file_types import Batch, Dialect, LineProblem, NewBatch, StoredFile
from headgate.job_ports import Jobs
from headgate.job_types import Item, Job, NewItem
from headgate.jobs.filing import OUTPUT, RESULTS, FileWriter, pieces_of
from headgate.jobs.tasks import Task
from headgate.policy.batches import MAX_LINES, MOST_PROBLEMS, Survey, survey
from headgate.types import Frozen
from headgate.wire.batches import anthropic, openai
from headgate.wire.batches.reading import BatchLine
from headgate.wire.lines import Line, LineReader

ITEMS_AT_ONCE = 1000  # that are added in one transaction
BYTES_AT_ONCE = 4 * 2**20
RESULTS_AT_ONCE = 200
REQUESTS_NAME = "requests"

IsStopped = Callable[[], Awaitable[bool]]


class Shape(Frozen, frozen=True):
    """How a dialect's lines are read and written. `problem_line` and `result_line` begin with the batch's id."""

    read_line: Callable[[Line, NewBatch], BatchLine | LineProblem]
    result_line: Callable[[str, Item], tuple[bytes, bool]]  # and whether it goes into the file of errors
    problem_line: Callable[[str, LineProblem], bytes]
    purpose: str  # of the files with what came of it
    has_error_file: bool


SHAPES: Mapping[Dialect, Shape] = {
    Dialect.OPENAI: Shape(openai.read_line, openai.result_line, openai.problem_line, OUTPUT, True),
    Dialect.ANTHROPIC: Shape(anthropic.read_line, anthropic.result_line, anthropic.problem_line, RESULTS, False),
}


class BatchLines:
    """The file of one batch. `most_bytes` of a line."""

    def __init__(self, files: Files, batch: Batch, most_bytes: int) -> None:
        self._files = files
        self._batch = batch
        self._shape = SHAPES[batch.asked.dialect]
        self._most_bytes = most_bytes

    async def survey(self) -> Survey:
        """Count the lines, and look at them until one is a request. Raises NotFound if the file is gone."""
        lines, usable, problems = 0, False, list[LineProblem]()
        async for line in self._lines():
            lines += 1
            if usable or lines > MAX_LINES:
                continue
            read = self._shape.read_line(line, self._batch.asked)
            usable = isinstance(read, BatchLine)
            if isinstance(read, LineProblem) and len(problems) < MOST_PROBLEMS:
                problems.append(read)
        return survey(lines, usable, tuple(problems))

    async def add_to(self, task: Task, child: Job, is_stopped: IsStopped) -> tuple[LineProblem, ...]:
        """Make items of the requests, under the numbers of their lines, and say which lines are none. To be repeated at
        will. `is_stopped` is asked before each portion: from then on nothing more is added. Raises NotFound if the file
        is gone."""
        problems: list[LineProblem] = []
        seen: set[str] = set()
        portion: list[NewItem] = []
        size = 0
        async for line in self._lines():
            read = self._shape.read_line(line, self._batch.asked)
            if isinstance(read, LineProblem):
                problems.append(read)
                continue
            if read.custom_id in seen:
                message = "The same 'custom_id' stands in a line before: it must be unique in the file."
                problem = ("duplicate_custom_id", message, read.number, "custom_id", read.custom_id)
                problems.append(LineProblem(*problem))
                continue
            seen.add(read.custom_id)
            portion.append(NewItem(read.number, read.body, read.custom_id))
            size += len(read.body)
            if len(portion) == ITEMS_AT_ONCE or size >= BYTES_AT_ONCE:
                problems += await _add(task, child, portion, await is_stopped())
                portion, size = [], 0
        if portion:
            problems += await _add(task, child, portion, await is_stopped())
        return tuple(problems)

    async def _lines(self) -> AsyncIterator[Line]:
        file = await self._files.get(self._batch.asked.input_file_id, self._batch.tenant)
        reader = LineReader(self._most_bytes)
        async for piece in pieces_of(self._files, file):
            for line in reader.feed(piece):
                yield line
        for line in reader.end():
            yield line


async def _add(task: Task, child: Job, portion: Sequence[NewItem], is_stopped: bool) -> list[LineProblem]:
    """A job that takes no more items has them all already, or was cancelled meanwhile: then some never come."""
    if not is_stopped:
        try:
            await task.add(child, portion)
            return []
        except InvalidRequest:
            pass
    there = {item.number for item in await task.jobs.items(child.id, len(portion), portion[0].number - 1)}
    message = "This request was not executed: the batch was cancelled."
    return [
        LineProblem("batch_cancelled", message, item.number, None, item.label)
        for item in portion
        if item.number not in there
    ]


class ResultFiles(Frozen, frozen=True):
    """The ids under which what came of a batch is kept, and until when."""

    output_id: str
    error_id: str
    expires_at: float


async def write_results(
    files: Files, jobs: Jobs, batch: Batch, problems: Sequence[LineProblem], wanted: ResultFiles
) -> tuple[str | None, str | None]:
    """Write what came of a batch's requests, in their order, then of its other lines. The ids of the files of answers
    and of errors, None for one that nothing is in. To be repeated at will: the same comes of it."""
    shape = SHAPES[batch.asked.dialect]
    output, errors = FileWriter(files, wanted.output_id), FileWriter(files, wanted.error_id)
    after = 0
    while found := await jobs.items(requests_id(batch.id), RESULTS_AT_ONCE, after):
        for item in found:
            line, is_error = shape.result_line(batch.id, item)
            await (errors if is_error and shape.has_error_file else output).write(line)
        after = found[-1].number
    for problem in problems:
        await (errors if shape.has_error_file else output).write(shape.problem_line(batch.id, problem))
    return await _finish(output, batch, shape, wanted, "output"), await _finish(errors, batch, shape, wanted, "error")


async def _finish(writer: FileWriter, batch: Batch, shape: Shape, wanted: ResultFiles, name: str) -> str | None:
    if not writer.size:
        return None
    made = StoredFile(
        id=writer.id,
        tenant=batch.tenant,
        user=batch.user,
        purpose=shape.purpose,
        filename=f"{batch.id}_{name}.jsonl",
        bytes=writer.size,
        created_at=batch.finalizing_at or batch.asked.created_at,
        expires_at=wanted.expires_at,
    )
    await writer.finish(made)
    return writer.id


def requests_id(batch_id: str) -> str:
    """The job whose items are a batch's requests."""
    return f"{batch_id}-{REQUESTS_NAME}"
