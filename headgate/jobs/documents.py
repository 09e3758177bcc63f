"""Documents as items of a job: the job below a coordinator that has one item for each.

They come with the coordinator's request, or in portions while it waits (`open`), so that nobody ever holds all of them.
A document that could not be read is an item too, which fails with what is wrong with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from headgate import document_errors
from headgate.errors import InvalidRequest
from headgate.job_ports import Jobs
from headgate.job_types import Item, ItemState, Job, NewItem, NewJob, Parent
from headgate.types import Frozen

if TYPE_CHECKING:  # a command that sends documents does none of the work
    from headgate.jobs.tasks import Task

READING_SHARE = 0.85  # of the time until the deadline
MOST_FILES = 10_000
MOST_DOCUMENTS = 1_000_000  # of a job
MOST_LEFT_OUT = 1000  # of which a result says why
PORTION = 200  # items that are added or read at once
ENDED_BADLY = (ItemState.FAILED, ItemState.DEAD, ItemState.EXPIRED, ItemState.CANCELLED)
_REMEMBERED = 64
_ERRORS = {
    kind.code: kind
    for kind in vars(document_errors).values()
    if isinstance(kind, type) and issubclass(kind, InvalidRequest)
}


class Document(Frozen, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A document, or why it could not be read. Documents without a name are called by their numbers."""

    name: str = ""
    text: str = ""
    error_code: str = ""
    error: str = ""

    def check(self) -> None:
        """Raises an error of `document_errors` if there is nothing to read."""
        if self.error_code or self.error:
            raise _ERRORS.get(self.error_code, document_errors.DocumentBroken)(self.error or "It could not be read.")
        if not self.text.strip():
            raise document_errors.DocumentEmpty(f"'{self.name}' is empty.")


class LeftOut(Frozen, frozen=True):
    """A document of which nothing is in the result, and why."""

    name: str
    code: str
    message: str


def items_of(documents: Sequence[Document], first: int = 1) -> list[NewItem]:
    """Documents as items, numbered from `first`."""
    named = (
        (number, msgspec.structs.replace(each, name=each.name or f"document {number}"))
        for number, each in enumerate(documents, start=first)
    )
    return [NewItem(number, msgspec.json.encode(each), each.name) for number, each in named]


class Options(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all coordinators over documents have."""

    documents: tuple[Document, ...] = ()
    files: tuple[str, ...] = ()  # ids of uploaded files, whose documents come after those
    open: bool = False  # more documents come, in portions

    def check_documents(self) -> None:
        """Raises InvalidRequest if there is nothing to read."""
        if self.open and self.files:
            raise InvalidRequest("Send 'files', or documents later ('open': true), but not both.", param="files")
        if len(self.files) > MOST_FILES:
            raise InvalidRequest(f"A job has at most {MOST_FILES} files. Put documents into JSONL.", param="files")
        if not self.documents and not self.files and not self.open:
            what = "Send 'documents' or 'files', or say that documents come later: 'open': true."
            raise InvalidRequest(what, param="documents")


Wanted = TypeVar("Wanted", bound=Options)


def read_options(request: bytes, kind: type[Wanted]) -> Wanted:
    """What a coordinator is asked to do. Raises InvalidRequest, naming the member."""
    try:
        return msgspec.json.decode(request, type=kind)
    except msgspec.DecodeError as error:
        what, _, place = str(error).partition(" - at `$")
        raise InvalidRequest(f"{what}.", param=place.strip(".`") or None) from None


class KnownOptions(Generic[Wanted]):
    """The options of jobs that were worked on lately, so that their items need not read them each."""

    def __init__(self, kind: type[Wanted]) -> None:
        self._kind = kind
        self._known: OrderedDict[str, Wanted] = OrderedDict()

    async def of(self, task: Task) -> Wanted:
        """Those of the job that an item belongs to, without its documents."""
        root_id = task.lease.root_id
        if root_id not in self._known:
            (root,) = await task.jobs.items(root_id, 1)
            self.remember(root_id, read_options(root.request, self._kind))
        return self._known[root_id]

    def remember(self, root_id: str, options: Wanted) -> None:
        """Without the documents, which may be many."""
        self._known[root_id] = msgspec.structs.replace(options, documents=())
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


async def open_documents(jobs: Jobs, root: Job, kind: str, now: float, *, is_fed: bool) -> Job:
    """The job of a coordinator's documents, which takes items until it is sealed; the same each time. It ends before
    the coordinator's deadline, so that there is time to put together what is there. `is_fed`: callers send them."""
    deadline_at = root.deadline_at
    if deadline_at is not None:
        begun_at = max(root.created_at, root.start_at)
        deadline_at = begun_at + (deadline_at - begun_at) * READING_SHARE
    new = NewJob(
        id=documents_id(root.id), owner=root.owner, kind=kind, requests=(), created_at=now, sealed=False, is_fed=is_fed,
        parent=Parent(root.id, 1, root.id), deadline_at=deadline_at,
    )  # fmt: skip
    return (await jobs.submit(new))[0]


def documents_id(root_id: str) -> str:
    """What the job of a coordinator's documents is called."""
    return f"{root_id}-documents"


async def add_all(task: Task, job: Job, items: Sequence[NewItem]) -> None:
    """Items for a child, in portions."""
    for start in range(0, len(items), PORTION):
        await task.add(job, items[start : start + PORTION])


async def fill(task: Task, job: Job, items: Sequence[NewItem]) -> None:
    """All items of a child."""
    await add_all(task, job, items)
    await task.seal(job)


async def all_items(jobs: Jobs, job_id: str, state: ItemState | None = None) -> AsyncIterator[Item]:
    """The items of a job, in portions."""
    after = 0
    while page := await jobs.items(job_id, PORTION, after, state):
        for item in page:
            yield item
        after = page[-1].number
