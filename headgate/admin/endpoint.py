"""An endpoint of the admin API as a value: what it is called, who may use it, what it takes and gives.

The table of endpoints in `routes.py` is what requests are served by and what the OpenAPI document is written from.
Everything an endpoint takes, from the path, the query or the body, is one typed struct.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec

from headgate.errors import InvalidRequest, MalformedJson
from headgate.types import Caller
from headgate.wire.members import no_json

if TYPE_CHECKING:  # commands that ask a server need the shapes of its answers, and not all that it is made of
    from headgate.admin.services import Services

JSON = "application/json"
METHODS_WITH_BODY = frozenset({"POST", "PATCH", "PUT"})
_PATH_PARAMETER = re.compile(r"{([a-z_]+)(?::path)?}")

# Databases and headers have no room for control characters; names of more than 200 characters are none.
Text = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]  # of anything: what databases and JSON agree on goes on beyond
Number = Annotated[int, msgspec.Meta(ge=1, le=10**12)]  # a place in an order, from 1
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what endpoints take; its subclasses that change something are the commands."""


class Nothing(Input, frozen=True):
    """For endpoints that take nothing."""


class Access(StrEnum):
    """Who may use an endpoint."""

    PUBLIC = "public"
    CALLER = "caller"  # with a virtual key
    LINK = "link"  # with a virtual key, or by a signed link: the endpoint looks for itself
    ADMIN = "admin"  # with the admin key


class Visit(msgspec.Struct, frozen=True):
    """One request being served."""

    services: Services
    request_id: str
    secret: bytes | None  # the key that was sent
    headers: Mapping[str, str] = {}  # names in lower case
    body: AsyncIterator[bytes] | None = None  # of an endpoint that reads it itself

    def caller(self) -> Caller:
        """Whose key it is. Raises what `Accounts.authenticate` raises."""
        return self.services.accounts.authenticate(self.secret)


class Reply(msgspec.Struct, frozen=True):
    """An answer that is not simply a struct with the endpoint's usual status; a `stream` is sent piece by piece."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    stream: AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = {}  # beside those that every answer has


Taken = TypeVar("Taken", bound=Input)


class Endpoint(msgspec.Struct, Generic[Taken], frozen=True):
    """`gives` is the struct that the handler returns, or None where it answers with a `Reply` of its own making."""

    method: str
    path: str
    handle: Callable[[Visit, Taken], Awaitable[msgspec.Struct | Reply]]
    takes: type[Taken]
    gives: type[msgspec.Struct] | None
    access: Access = Access.ADMIN
    status: int = 200
    is_large: bool = False  # its body may be as large as those of the hot routes
    is_streamed: bool = False  # it reads its body itself, while it comes in

    @property
    def reads_body(self) -> bool:
        """Whether what it takes is in the body rather than in the query."""
        return self.method in METHODS_WITH_BODY and not self.is_streamed

    @property
    def path_parameters(self) -> frozenset[str]:
        """The names in the path."""
        return frozenset(_PATH_PARAMETER.findall(self.path))

    async def answer(self, visit: Visit, sent: Mapping[str, object], path: Mapping[str, str]) -> msgspec.Struct | Reply:
        """Serve a request. `sent` is the query or the body. Raises HeadgateError."""
        return await self.handle(visit, self._input(sent, path))

    def _input(self, sent: Mapping[str, object], path: Mapping[str, str]) -> Taken:
        for name in sent:
            if name in path:
                raise InvalidRequest(f"'{name}' stands in the URL and must not be sent again.", param=name)
            if not self.reads_body and str(sent[name]).lower() == "null":  # which would count as left out
                raise InvalidRequest(f"In a URL there is no null: leave '{name}' out.", param=name)
        return take(self.takes, {**sent, **path}, strict=self.reads_body)


def take(kind: type[Taken], sent: Mapping[str, object], *, strict: bool = True) -> Taken:
    """What was sent as the struct it must be; not strict: numbers may be text. Raises InvalidRequest."""
    try:
        return msgspec.convert(sent, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), kind) from None


def read_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; an empty body has none. Raises MalformedJson, InvalidRequest."""
    if not body:
        return {}
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(no_json(body, error)) from None
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return value


def _refusal(sentence: str, kind: type[Input]) -> InvalidRequest:
    """Name the parameter in msgspec's sentences and say what would be right."""
    what, _, place = sentence.partition(" - at `$")
    name = place.strip(".`")
    quoted = what.split("`")[1] if "`" in what else ""
    fields = kind.__struct_fields__
    if "unknown field" in what:
        near = difflib.get_close_matches(quoted, fields, 1)
        known = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(fields) or 'none'}."
        return InvalidRequest(f"There is no parameter '{quoted}'; {known}", param=quoted)
    if "missing required field" in what:
        return InvalidRequest(f"The parameter '{quoted}' is missing.", param=quoted)
    if "matching regex" in what:  # the one of `Text` and `Name`
        what = "There must be no control characters"
    if what.startswith("Invalid enum value"):
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        types = {field.name: field.type for field in info.fields}
        choice = types.get(name)
        for kind_of in choice.types if isinstance(choice, msgspec.inspect.UnionType) else (choice,):
            if isinstance(kind_of, msgspec.inspect.LiteralType):
                what = f"Choose one of {', '.join(map(str, kind_of.values))}"
            elif isinstance(kind_of, msgspec.inspect.EnumType):
                what = f"Choose one of {', '.join(kind_of.cls)}"
    return InvalidRequest(f"{what} in '{name}'." if name else f"{what}.", param=name or None)
