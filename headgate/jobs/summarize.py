"""The kinds of jobs that make one summary of many documents.

`summarize` coordinates: a job below it has an item for each document, then one for each wave of the tree of
`policy/mapreduce.py`. Items name what they are made of by job and number and read it when they run. All names follow
from the documents and the options: a coordinator that begins again finds what there is and adds what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from headgate.document_errors import PartsFailed
from headgate.errors import InvalidRequest
from headgate.job_types import Item, ItemState, Job, NewItem
from headgate.jobs import summaries
from headgate.jobs.documents import (
    ENDED_BADLY,
    MOST_LEFT_OUT,
    Document,
    KnownOptions,
    LeftOut,
    Options,
    all_items,
    fill,
    read_options,
)
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models, at_least
from headgate.jobs.summaries import Summary
from headgate.jobs.tasks import Task, Waiting
from headgate.policy.mapreduce import (
    FRAME_TOKENS,
    MARGIN,
    Place,
    TreeRules,
    Wave,
    chunks,
    document_id,
    inputs_of,
    label,
    tree,
)
from headgate.types import Caller, Frozen

SUMMARIZE, READ, COMBINE = "summarize", "summarize-document", "summarize-node"
_MOST_INSTRUCTIONS = 4000
_PROMPT_STEP = 256


class SummarizeOptions(Options, frozen=True, kw_only=True):
    """What is to be done. Tokens 0: as the models allow. `instructions` are added to every prompt."""

    model: str  # reads the documents
    reduce_model: str = ""  # puts summaries together; empty: the same
    instructions: str = ""
    chunk_tokens: int = 0  # longer documents are read in pieces
    summary_tokens: int = 400  # at most, of one answer
    shard_documents: int = 100
    context_tokens: int = 0  # of the reduce model; fixes the tree, whatever the configuration says later

    @property
    def combining_model(self) -> str:
        return self.reduce_model or self.model

    def system(self, is_reduce: bool) -> str:
        """The beginning of all prompts of one sort."""
        return summaries.instructions(is_reduce, self.summary_tokens, self.instructions)


class Plan(Frozen, frozen=True):
    """What the options come to with the models there are."""

    chunk_tokens: int
    rules: TreeRules  # of the tree over documents
    pieces: TreeRules  # of the pieces of a long document, which the first model puts together


class Result(Frozen, frozen=True):
    """What a job of this kind comes to. `waves` are the nodes of each wave of the tree."""

    summary: str
    cut: bool
    documents: int
    summarized: int
    left_out_count: int
    left_out: tuple[LeftOut, ...]
    nodes_failed: tuple[str, ...]
    waves: tuple[int, ...]
    fan_in: int


class NodeRequest(Frozen, frozen=True):
    """The request of a node's item: of which texts it is made."""

    node: str
    inputs: tuple[Place, ...]


def plan_of(options: SummarizeOptions, models: Models) -> Plan:
    """Raises InvalidRequest if the windows of the models are too small for what is wanted."""
    read, combined = options.system(is_reduce=False), options.system(is_reduce=True)
    window = models.facts(options.model).context_tokens
    room = int(window * (1 - MARGIN)) - summaries.prompt_tokens(read) - options.summary_tokens - FRAME_TOKENS
    # In large steps: another wording must not mean another tree.
    prompt, size = -(-summaries.prompt_tokens(combined) // _PROMPT_STEP) * _PROMPT_STEP, options.summary_tokens
    context = options.context_tokens or models.facts(options.combining_model).context_tokens
    rules = TreeRules(context, prompt, size, options.shard_documents)
    pieces = TreeRules(window, prompt, size, options.shard_documents)
    if room < options.summary_tokens or rules.fan_in < 2 or pieces.fan_in < 2:
        raise InvalidRequest(
            f"Summaries of {size} tokens are too long for a model with a context of {min(window, context)} tokens.",
            param="summary_tokens",
        )
    return Plan(min(options.chunk_tokens or room, room), rules, pieces)


class SummaryWork:
    """What the kinds of a summary share."""

    def __init__(self, models: Models, files: FileDocuments) -> None:
        self.models = models
        self.files = files
        self.options = KnownOptions(SummarizeOptions)


class SummarizeKind:
    """The coordinator: one summary of all documents."""

    public = True

    def __init__(self, work: SummaryWork) -> None:
        self._work = work

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`."""
        options = read_options(body, SummarizeOptions)
        self.check_options(caller, options, self._work.models)
        options.check_documents()
        plan_of(options, self._work.models)

    def files(self, body: bytes) -> tuple[str, ...]:
        """As `ReadsFiles.files`."""
        return read_options(body, SummarizeOptions).files

    @staticmethod
    def check_options(caller: Caller, options: SummarizeOptions, models: Models) -> None:
        """What is wrong without looking at documents. Raises InvalidRequest, ModelNotFound."""
        models.check(caller, options.model, "model")
        models.check(caller, options.combining_model, "reduce_model")
        at_least(options.summary_tokens, 50, "summary_tokens")
        at_least(options.shard_documents, 1, "shard_documents")
        at_least(options.chunk_tokens, 0, "chunk_tokens")
        if len(options.instructions) > _MOST_INSTRUCTIONS:
            raise InvalidRequest(f"Instructions have at most {_MOST_INSTRUCTIONS} characters.", param="instructions")

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        options = read_options(task.lease.request, SummarizeOptions)
        self._work.options.remember(task.lease.root_id, options)
        below = await self._work.files.below(task, options, READ)
        if not below.is_over:
            raise Waiting
        rules = plan_of(options, self._work.models).rules
        waves = tree(below.counts.total, rules)
        places = await _documents(task, below)
        for number, wave in enumerate(waves, start=1):
            places |= await _wave(task, number, wave, places)
        return await self._result(task, below, waves, places, rules.fan_in)

    async def _result(
        self, task: Task, below: Job, waves: Sequence[Wave], places: Mapping[str, Place], fan_in: int
    ) -> bytes:
        last = waves[-1][0].id if waves else document_id(1)
        bad_ones = await _bad_ones(task, below, MOST_LEFT_OUT)
        left_out = tuple(LeftOut(item.label, item.error_code, item.error) for item in bad_ones)
        if last not in places:
            why = f" The last error: {below.error}" if below.error else ""
            raise PartsFailed(f"Nothing could be summarized: all {below.counts.total} documents failed.{why}")
        summary = summaries.read_summary((await _read(task, [places[last]]))[0])
        result = Result(
            summary.text,
            summary.cut,
            below.counts.total,
            below.counts.succeeded,
            below.counts.total - below.counts.succeeded,
            left_out,
            tuple(node.id for wave in waves for node in wave if node.id not in places),
            tuple(map(len, waves)),
            fan_in,
        )
        return msgspec.json.encode(result)


class ReadKind:
    """One document: a summary of it, or of the summaries of its pieces."""

    public = False

    def __init__(self, work: SummaryWork) -> None:
        self._work = work

    def check(self, caller: Caller, body: bytes) -> None:
        """What cannot be read is told when it is its turn."""

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        document = await self._work.files.document(task)
        options = await self._work.options.of(task)
        plan = plan_of(options, self._work.models)
        pieces: list[str] = []
        for piece in chunks(document.text, plan.chunk_tokens):
            pieces.append(piece)
            await asyncio.sleep(0)  # a long text takes a while to cut
        if len(pieces) > 1:
            summary = await self._long(task, options, plan, document, pieces)
        else:
            summary = summaries.summary_of(await task.ask("chat", _read_body(options, document.name, document.text)))
        return msgspec.json.encode(summary)

    async def _long(
        self, task: Task, options: SummarizeOptions, plan: Plan, document: Document, pieces: Sequence[str]
    ) -> Summary:
        below = await task.child(str(task.lease.number), "chat")
        if not below.sealed:
            of = f"of {len(pieces)}"
            bodies = [
                _read_body(options, f"{document.name}, part {number} {of}", piece)
                for number, piece in enumerate(pieces, start=1)
            ]
            items = [NewItem(number, body, f"part {number}") for number, body in enumerate(bodies, start=1)]
            await fill(task, below, items)
        if not below.is_over:
            raise Waiting
        texts: dict[str, str] = {}
        left_out: list[str] = []
        async for item in all_items(task.jobs, below.id):
            if item.state is ItemState.SUCCEEDED:
                texts[document_id(item.number)] = summaries.answer_text(item.result)[0]
            else:
                left_out.append(f"{item.label}: {item.error_code}")
        if not texts:
            raise PartsFailed(f"No part of '{document.name}' could be summarized: {below.error}")
        return await _put_together(task, options, tree(len(pieces), plan.pieces), texts, left_out)


class CombineKind:
    """One node of the tree: a summary of summaries."""

    public = False

    def __init__(self, work: SummaryWork) -> None:
        self._work = work

    def check(self, caller: Caller, body: bytes) -> None:
        """Its request is headgate's own."""

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        options = await self._work.options.of(task)
        wanted = msgspec.json.decode(task.lease.request, type=NodeRequest)
        texts = [summaries.read_summary(result).text for result in await _read(task, wanted.inputs)]
        body = _combine_body(options, options.combining_model, texts)
        return msgspec.json.encode(summaries.summary_of(await task.ask("chat", body)))


def _read_body(options: SummarizeOptions, name: str, text: str) -> bytes:
    system = options.system(is_reduce=False)
    return summaries.chat_body(options.model, system, f"{name}\n\n{text}", options.summary_tokens)


def _combine_body(options: SummarizeOptions, model: str, texts: Sequence[str]) -> bytes:
    system = options.system(is_reduce=True)
    return summaries.chat_body(model, system, summaries.numbered(texts), options.summary_tokens)


async def _put_together(
    task: Task, options: SummarizeOptions, waves: Iterable[Wave], texts: dict[str, str], left_out: Sequence[str]
) -> Summary:
    """The pieces of one document, in steps that are kept: a long book has a hundred of them."""
    last = Summary(next(iter(texts.values())), left_out=tuple(left_out))
    for wave in waves:
        for node in wave:
            found = [texts[name] for name in node.inputs if texts.get(name)]
            if len(found) < 2:
                texts[node.id] = "".join(found)
                continue
            body = _combine_body(options, options.model, found)
            last = summaries.summary_of(await _step(task, node.id, body), left_out)
            texts[node.id] = last.text
    return last


async def _step(task: Task, name: str, body: bytes) -> bytes:
    async def work() -> bytes:
        return await task.ask("chat", body)

    return await task.step(name, work)


async def _documents(task: Task, below: Job) -> dict[str, Place]:
    """Where the summaries of the documents are that have one. Results are not read for it, only those without."""
    bad = {item.number for item in await _bad_ones(task, below, below.counts.total)}
    return {document_id(number): (below.id, number) for number in range(1, below.counts.total + 1) if number not in bad}


async def _bad_ones(task: Task, below: Job, most: int) -> list[Item]:
    """The first items of a job that did not succeed, in their order."""
    found: list[Item] = []
    for state in ENDED_BADLY:
        if not getattr(below.counts, state.value):
            continue
        count = 0
        async for item in all_items(task.jobs, below.id, state):
            found.append(msgspec.structs.replace(item, request=b""))  # the documents themselves are not wanted
            count += 1
            if count == most:
                break
    return sorted(found, key=lambda item: item.number)[:most]


async def _read(task: Task, places: Sequence[Place]) -> list[bytes]:
    """The results of items, which are neighbours mostly."""
    found: dict[Place, bytes] = {}
    for job_id in dict.fromkeys(job_id for job_id, _ in places):
        numbers = [number for each, number in places if each == job_id]
        span = max(numbers) - min(numbers) + 1
        for item in await task.jobs.items(job_id, span, min(numbers) - 1):
            found[job_id, item.number] = item.result
    return [found[place] for place in places]


async def _wave(task: Task, number: int, wave: Wave, places: Mapping[str, Place]) -> dict[str, Place]:
    """Where the texts of a wave's nodes are. Raises Waiting until it is known what became of each.

    Nodes that were made of other texts than there are now, because a failed one was done again, are made anew in
    another job; all others stay as they are.
    """
    wanted: dict[str, NodeRequest] = {}
    passed: dict[str, Place] = {}
    for node in wave:
        inputs = inputs_of(node, places)
        if len(inputs) > 1:
            wanted[label(node, inputs)] = NodeRequest(node.id, inputs)
        elif inputs:
            passed[node.id] = inputs[0]  # nothing to put together
    known: dict[str, Place | None] = {}
    attempt = 1
    while missing := [name for name in wanted if name not in known]:
        name = f"wave-{number}" if attempt == 1 else f"wave-{number}-{attempt}"
        below = await task.child(name, COMBINE)
        if not below.sealed:
            items = [NewItem(at, msgspec.json.encode(wanted[each]), each) for at, each in enumerate(missing, start=1)]
            await fill(task, below, items)
        if not below.is_over:
            raise Waiting
        async for item in all_items(task.jobs, below.id):
            known[item.label] = (item.job_id, item.number) if item.state is ItemState.SUCCEEDED else None
        attempt += 1
    made = {request.node: known[name] for name, request in wanted.items()}
    return passed | {node: place for node, place in made.items() if place is not None}


def summary_kinds(models: Models, files: FileDocuments) -> dict[str, Kind]:
    """Those that one summary takes."""
    work = SummaryWork(models, files)
    return {SUMMARIZE: SummarizeKind(work), READ: ReadKind(work), COMBINE: CombineKind(work)}
