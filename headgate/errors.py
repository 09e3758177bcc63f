"""The one error table: every way a request can end badly, with its HTTP status, code and whether waiting helps.

What limits and budgets say is in `limit_errors.py`.

An error is raised where it is noticed, carries a sentence that names what is wrong and what to do, and is turned
into a caller's dialect only at the edge (`wire/`). Foreign exceptions never leave the adapter they came from.
"""

from __future__ import annotations

from typing import ClassVar

from headgate.types import Problem

MAX_MESSAGE_CHARACTERS = 2_000  # messages repeat what callers and providers said, which has no end of its own
MAX_PARAM_CHARACTERS = 300


class HeadgateError(Exception):
    """Base of all errors a caller can see.

    Class attributes are the row of the error table; `docs/errors.md` is generated from them.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    kind: ClassVar[str] = "api_error"  # `error.type` in OpenAI's shape
    should_retry: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.message = message[:MAX_MESSAGE_CHARACTERS]
        super().__init__(self.message)
        self.param = param and param[:MAX_PARAM_CHARACTERS]
        self.retry_after_seconds = retry_after_seconds
        self.attempts = ""  # which deployments were asked before it came to this


class InternalError(HeadgateError):
    """A fault of headgate itself; the log line with the request id has the details."""

    should_retry = True


# --- the request is wrong: sending it again changes nothing --------------------------------------------------------


class InvalidRequest(HeadgateError):
    """The body or a header has a value that cannot be used; `param` names it."""

    status, code, kind = 400, "invalid_request", "invalid_request_error"


class MalformedJson(InvalidRequest):
    """The body is not valid JSON (or not UTF-8, or nested too deeply)."""

    code = "malformed_json"


class MalformedHttp(InvalidRequest):
    """The bytes on the connection are not HTTP/1.1."""

    code = "malformed_http"


class BodyTooLarge(InvalidRequest):
    """The body is larger than `server.max_body_bytes`."""

    status, code = 413, "body_too_large"


class HeadersTooLarge(InvalidRequest):
    """The request line and headers together are larger than `server.max_header_bytes`."""

    status, code = 431, "headers_too_large"


class SlowSender(InvalidRequest):
    """The request did not arrive within `server.receive_seconds`."""

    status, code = 408, "request_timeout"


class Untranslatable(InvalidRequest):
    """The request has a member that the API of the model's deployments cannot express; `param` names it."""

    code = "untranslatable"


class RouteNotServed(InvalidRequest):
    """No deployment of the model can be asked through this URL."""

    code = "route_not_served"


class RouteNotFound(InvalidRequest):
    """No such URL."""

    status, code = 404, "unknown_url"


class MethodNotAllowed(InvalidRequest):
    """The URL exists, the method does not."""

    status, code = 405, "method_not_allowed"


class ModelNotFound(InvalidRequest):
    """The model does not exist, or the caller's tier may not use it (the two are not told apart)."""

    status, code = 404, "model_not_found"


class NotFound(InvalidRequest):
    """The thing an admin command names does not exist."""

    status, code = 404, "not_found"


class Conflict(InvalidRequest):
    """An admin command contradicts what is there."""

    status, code = 409, "conflict"


# --- who is asking -----------------------------------------------------------------------------------------------


class Unauthenticated(HeadgateError):
    """No key, or one that headgate does not know."""

    status, code, kind = 401, "invalid_api_key", "authentication_error"


class KeyRevoked(Unauthenticated):
    """The key was revoked."""

    code = "key_revoked"


class KeyExpired(Unauthenticated):
    """The key's expiry has passed."""

    code = "key_expired"


class Forbidden(HeadgateError):
    """The key is good, but not for this."""

    status, code, kind = 403, "forbidden", "permission_error"


class FeatureNotAllowed(Forbidden):
    """The request uses tools or images and the caller's tier does not have them."""

    code = "feature_not_allowed"


# --- headgate cannot take it now: waiting helps ------------------------------------------------------------------


class Overloaded(HeadgateError):
    """`server.max_in_flight` requests are under way in this process."""

    status, code, kind, should_retry = 503, "overloaded", "overloaded_error", True


class Draining(Overloaded):
    """This process is shutting down; another one takes the retry."""

    code = "draining"


class LedgerFull(Overloaded):
    """The database is away and the journal has no room left, or the disk is full: nothing more can be accounted for."""

    code = "ledger_full"


class StoreUnavailable(Overloaded):
    """The store of limits and budgets did not answer in time, and `on_store_failure` is deny."""

    code = "store_unavailable"


class NoDeployment(Overloaded):
    """Every deployment of the model, and of its fallbacks, is switched off by its breaker or has no endpoint."""

    code = "no_deployment"


class WaitingRoomFull(Overloaded):
    """`server.max_waiting` requests wait in this process already."""

    code = "waiting_room_full"


class EmbedderUnavailable(Overloaded):
    """Texts cannot be turned into vectors now: nothing is prepared, too many wait, or who does it failed."""

    code = "embedder_unavailable"


class NotCached(HeadgateError):
    """The request said `x-headgate-cache: only`, and there is no answer to it that may be given again."""

    status, code, kind = 504, "not_cached", "invalid_request_error"


class ProviderQuota(Overloaded):
    """Every deployment that could answer has used up what its provider allows in a minute."""

    status, code, kind = 429, "provider_quota", "rate_limit_error"


# --- the provider failed -----------------------------------------------------------------------------------------


class UpstreamError(HeadgateError):
    """A deployment failed to answer."""

    status, code, kind, should_retry = 502, "upstream_error", "upstream_error", True


class UpstreamRejected(UpstreamError):
    """The provider answered with an error status; its own status and body are passed on."""

    code = "upstream_rejected"

    def __init__(
        self,
        words: str,
        *,
        upstream_status: int,
        body: bytes,
        content_type: str = "application/json",
        dialect: str = "openai",
        retry_after_seconds: float | None = None,
    ) -> None:
        """`words` are the sentence in `body`, which is in the provider's `dialect`."""
        super().__init__(f"The provider answered {upstream_status}: {words}", retry_after_seconds=retry_after_seconds)
        self.words = words
        self.dialect = dialect
        self.upstream_status = upstream_status
        self.body = body
        self.content_type = content_type


class UpstreamAuth(UpstreamError):
    """The provider refused headgate's own key (401 or 403): the operator's fault, never the caller's."""

    code, should_retry = "upstream_auth", False


class UpstreamUnreachable(UpstreamError):
    """No connection to the deployment could be made (refused, DNS, TLS, proxy)."""

    code = "upstream_unreachable"


class UpstreamBusy(UpstreamError):
    """The deployment's connection pool is full and no connection came free in time."""

    status, code = 503, "upstream_busy"


class ConnectTimeout(UpstreamError):
    """The connection was not made within `connect_seconds`."""

    status, code = 504, "upstream_connect_timeout"


class FirstTokenTimeout(UpstreamError):
    """No content within `first_token_seconds`."""

    status, code = 504, "upstream_first_token_timeout"


class TotalTimeout(UpstreamError):
    """The request was not finished within `total_seconds`."""

    status, code, should_retry = 504, "upstream_total_timeout", False


class StreamStalled(UpstreamError):
    """The provider stopped sending for `stall_seconds` in the middle of a stream."""

    status, code = 504, "stream_stalled"


class StreamIncomplete(UpstreamError):
    """The provider's answer ended before it was complete (cut connection, missing finish reason)."""

    code = "stream_incomplete"


class StreamMalformed(UpstreamError):
    """The provider sent something that is not what the dialect says (broken JSON, broken framing)."""

    code = "stream_malformed"


class StreamFailed(UpstreamError):
    """The provider reported an error inside a stream or aborted the generation."""

    code = "stream_failed"


class UpstreamEmpty(UpstreamError):
    """The provider answered 200 with nothing in it."""

    code = "upstream_empty"


class WeakAnswer(UpstreamError):
    """The answer of a router's model was not good enough, and a better model was asked. Only in the ledger."""

    code = "weak_answer"


class BillUnavailable(UpstreamError):
    """A provider's usage or cost report could not be read: it answered with an error, or not in time."""

    code = "bill_unavailable"


class BillMalformed(UpstreamError):
    """A provider's usage or cost report, or an export of it, is not what it should be; the sentence says where."""

    code, should_retry = "bill_malformed", False


# --- operating headgate ------------------------------------------------------------------------------------------


class ClientGone(HeadgateError):
    """The client closed the connection, or read too slowly for `server.send_seconds`."""

    status, code = 499, "client_gone"


class DatabaseUnavailable(HeadgateError):
    """The database did not answer."""

    status, code, should_retry = 503, "database_unavailable", True


class IncompatibleDatabase(HeadgateError):
    """A newer release has changed the database in a way that this release cannot work with."""

    code = "incompatible_database"


class CannotListen(HeadgateError):
    """The address to listen on is in use, or not this machine's."""

    code = "cannot_listen"


class DataDirUnusable(HeadgateError):
    """`server.data_dir` is no folder that this process may write, or has no space left."""

    code = "data_dir_unusable"


class ProcessDied(HeadgateError):
    """The process that had the request died. Only in the ledger: nobody was left to answer."""

    code = "process_died"


class MissingExtra(HeadgateError):
    """A feature needs a package that is not installed; the sentence names the extra."""

    code = "missing_extra"


class FileInvalid(HeadgateError):
    """A file of data or of a model is missing, or not what it should be; the sentence says where and why."""

    code = "file_invalid"


class ConfigInvalid(InvalidRequest):
    """The configuration has errors and is not used; `problems` names all of them with file, line and what to do."""

    code = "config_invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        where = f"{first.path}:{first.line}:{first.column}" if first.line else first.path
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{where}: {first.where + ': ' if first.where else ''}{first.message}{more}")
        self.problems = problems
