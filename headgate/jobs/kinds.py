"""The kinds of jobs: what is done with an item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from headgate.errors import InvalidRequest, ModelNotFound
from headgate.jobs.calls import ROUTES, call_of
from headgate.jobs.tasks import Task
from headgate.policy import access
from headgate.types import Caller


class Kind(Protocol):
    """A kind of job. Those that are not `public` are submitted by headgate alone."""

    public: bool

    def check(self, caller: Caller, body: bytes) -> None:
        """Raises a HeadgateError, whose `param` names the member, if the item could never succeed."""

    async def run(self, task: Task) -> bytes:
        """The result of an item. Raises a HeadgateError, Waiting, or LeaseLost."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A kind whose requests name uploaded files."""

    def files(self, body: bytes) -> Sequence[str]:
        """Their ids. Raises as `Kind.check`."""


Kinds = Mapping[str, Kind]


class RequestKind:
    """An item is one request, its result the answer. `is_model` knows models and routers by name."""

    public = True

    def __init__(self, name: str, is_model: Callable[[str], bool]) -> None:
        self._name = name
        self._is_model = is_model

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`."""
        call = call_of(self._name, body, "")
        if not self._is_model(call.model) or not access.may_use(caller.tier, call.model):
            raise ModelNotFound(
                f"The model '{call.model}' does not exist or your key may not use it. GET /v1/models lists yours.",
                param="model",
            )

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`."""
        return await task.ask(self._name, task.lease.request)


def request_kinds(is_model: Callable[[str], bool]) -> dict[str, Kind]:
    """Those that are one request."""
    return {name: RequestKind(name, is_model) for name in ROUTES}


def kind_named(kinds: Kinds, name: str) -> Kind:
    """Raises InvalidRequest."""
    kind = kinds.get(name)
    if kind is not None:
        return kind
    known = ", ".join(sorted(each for each, known in kinds.items() if known.public))
    raise InvalidRequest(f"There is no kind of job '{name}'. Known: {known}.", param="kind")
