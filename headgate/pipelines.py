"""Pipelines: kinds of jobs that a user writes as one async Python function.

    from headgate.pipelines import Steps

    async def essay(steps: Steps, wanted: dict) -> dict:
        plan = await steps.step("plan", lambda: steps.chat("small", f"Three titles about {wanted['topic']}"))
        text = await steps.step("text", lambda: steps.chat("large", f"An essay for each of: {plan}"))
        return {"plan": plan, "text": text}

The function may be stopped at any line and called again from its first, in another process: steps that were done are
read and not done again. What is outside of a step is done each time, so it must not cost anything.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import msgspec

from headgate.errors import HeadgateError, InvalidRequest
from headgate.job_errors import PipelineFailed, PipelineTriesAgain
from headgate.jobs.kinds import Kind
from headgate.jobs.summaries import answer_text
from headgate.jobs.tasks import LeaseLost, Task, Waiting, is_being_cancelled
from headgate.types import Caller

log = logging.getLogger(__name__)

Made = TypeVar("Made")
Pipeline = Callable[["Steps", Any], Awaitable[Any]]  # what it is given and returns is JSON, as Python has it
_HEADGATES_OWN = (HeadgateError, LeaseLost, Waiting)


class TryAgain(Exception):
    """Raise it when another try later may do: the item waits at least `after_seconds` and begins again, with the steps
    it has done."""

    def __init__(self, *words: object, after_seconds: float = 0.0) -> None:
        super().__init__(*words)
        self.after_seconds = after_seconds


class Steps:
    """What a pipeline works with. Steps may be awaited side by side, in an `asyncio.TaskGroup`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._names: set[str] = set()
        self._own = asyncio.current_task()
        self._beside: set[asyncio.Task[Any]] = set()  # what the pipeline has going on beside itself
        self._is_over = False

    async def step(self, name: str, work: Callable[[], Awaitable[Made]]) -> Made:
        """What `work` returned, which is JSON, when it was done for the first time. Names are the pipeline's own; one
        like "3/12 sections" tells those who watch the job how far it is. Raises PipelineFailed for a name that another
        step has already."""
        if name in self._names:
            raise PipelineFailed(f"Two steps are called '{name}': what the first came to would be the second's, too.")
        self._names.add(name)

        async def done() -> bytes:
            try:
                return msgspec.json.encode(await work())
            except SystemExit as error:  # in a task of its own it would end the process
                raise PipelineFailed(f"The step '{name}' raised {_told(error)}.") from error

        with self._under_way():
            return cast("Made", msgspec.json.decode(await self._task.step(name, done)))

    async def ask(self, request: Mapping[str, Any], kind: str = "chat") -> Any:
        """The answer to the body of a request: `chat`, `responses`, `messages` or `embed`. It is sent with the key that
        the job was submitted with: limits, budgets, caches and routes hold. Raises what a client would be told."""
        with self._under_way():
            return msgspec.json.decode(await self._task.ask(kind, msgspec.json.encode(request)))

    async def chat(self, model: str, question: str, **more: Any) -> str:
        """The text that a model answers. `more` are members of the request, as `max_tokens`."""
        request = {"model": model, "messages": [{"role": "user", "content": question}], **more}
        with self._under_way():
            return answer_text(await self._task.ask("chat", msgspec.json.encode(request)))[0]

    async def end(self) -> None:
        """The pipeline has ended: stop what it left going on, which nobody would pay for gladly."""
        self._is_over = True
        for left in self._beside:
            left.cancel()
        if self._beside:
            await asyncio.wait(self._beside)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        task = asyncio.current_task()
        if self._is_over:
            raise PipelineFailed("The pipeline has ended before this step of it began.")
        if task is None or task is self._own or task in self._beside:
            yield
            return
        self._beside.add(task)
        try:
            yield
        finally:
            self._beside.discard(task)


class PipelineKind:
    """A kind of job whose items are given to a user's function."""

    public = True

    def __init__(self, name: str, function: Pipeline) -> None:
        self._name = name
        self._function = function

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`: what it is given is the pipeline's own business."""

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`. Raises PipelineFailed and PipelineTriesAgain for what the function raised."""
        steps = Steps(task)
        try:
            made = await self._function(steps, msgspec.json.decode(task.lease.request))
            return msgspec.json.encode(made)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            cause = _cause(error)
            if isinstance(cause, _HEADGATES_OWN):
                raise cause from None
            if isinstance(cause, TryAgain):
                words, after_seconds = f"'{self._name}' wants to be tried again: {cause}", max(0.0, cause.after_seconds)
                raise PipelineTriesAgain(words, retry_after_seconds=after_seconds) from None
            place = f"item {task.lease.number} of job {task.lease.job_id}"
            log.warning("the pipeline '%s' failed at %s", self._name, place, exc_info=cause)
            raise PipelineFailed(f"'{self._name}' raised {_told(cause)}") from None
        finally:
            await steps.end()


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _cause(error: BaseException) -> BaseException:
    """Of several errors of steps side by side the one that decides: ours, if there is one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_cause(each) for each in error.exceptions]
    return next((each for each in causes if isinstance(each, (*_HEADGATES_OWN, TryAgain))), causes[0])


def load_pipelines(named: Mapping[str, str], taken: Container[str]) -> dict[str, Kind]:
    """The kinds that `jobs.pipelines` names as `module:function`. Raises InvalidRequest for one that is not there, that
    does not take two arguments, or that has a name in `taken`."""
    found: dict[str, Kind] = {}
    for name, place in named.items():
        param = f"jobs.pipelines.{name}"
        if name in taken:
            raise InvalidRequest(f"{param}: headgate has a kind of job of that name. Choose another.", param=param)
        module_name, _, function_name = place.partition(":")
        try:
            function = getattr(importlib.import_module(module_name), function_name, None)
        except (Exception, SystemExit) as error:  # whatever its first lines raise
            raise InvalidRequest(
                f"{param}: the module '{module_name}' cannot be imported: {type(error).__name__}: {error}. "
                "Install it, or put its folder on PYTHONPATH.",
                param=param,
            ) from error
        if not inspect.iscoroutinefunction(function):
            raise InvalidRequest(f"{param}: '{module_name}' has no async function '{function_name}'.", param=param)
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            raise InvalidRequest(f"{param}: '{function_name}' must take (steps, request).", param=param) from None
        found[name] = PipelineKind(name, function)
    return found
