"""Access tokens of Google Cloud, from a service account's file or the application-default credentials.

google-auth signs and asks for them, in a thread, because it blocks. A token is used until shortly before it expires,
and asked for once however many requests wait for it.

Needs the extra `headgate[vertex]`: importing this module without it raises MissingExtra.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC
from functools import partial
from typing import Any

from headgate.errors import MissingExtra, UpstreamAuth, UpstreamError, UpstreamUnreachable
from headgate.ports import Clock
from headgate.providers.upstream.connect import tls_context
from headgate.types import Frozen

try:
    import google.auth
    import requests
    from google.auth.credentials import Credentials
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account
    from requests.adapters import HTTPAdapter
except ImportError as missing:
    raise MissingExtra(
        "A provider of the kind vertex needs headgate[vertex]: pip install 'headgate[vertex]'."
    ) from missing

log = logging.getLogger(__name__)

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
RENEW_SECONDS = 300.0  # before a token expires: a long request may still be on its way to Google
_ASK_SECONDS = 20.0
_LONGEST_WORDS = 300


class TokenSettings(Frozen, frozen=True):
    """Whose tokens, and how Google is reached: as in the provider's configuration."""

    provider: str  # its name, for error messages
    credentials_file: str = ""  # a service account's key as JSON; empty: application-default credentials
    proxy: str = ""  # http://host:port; "none": never; empty: by the environment
    ca_file: str = ""  # trusted beside the usual certificates


class Token(Frozen, frozen=True, gc=False):
    """A token and when it expires, in Unix seconds."""

    value: str
    expires_at: float


class GoogleTokens:
    """Implements `vertex.Tokens`. Nothing is read or asked for before the first token is wanted."""

    def __init__(self, settings: TokenSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._credentials: Credentials | None = None
        self._token: Token | None = None
        self._renewal: asyncio.Task[Token] | None = None

    async def token(self) -> str:
        """A token that is valid for a while. Raises UpstreamAuth or UpstreamUnreachable.

        If Google cannot be asked for the next one, the last one is used as long as it is valid.
        """
        known = self._token
        if known is not None and self._clock.now() < known.expires_at - RENEW_SECONDS:
            return known.value
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._renew())
            self._renewal.add_done_callback(self._renewed)
        try:
            return (await asyncio.shield(self._renewal)).value
        except UpstreamError as error:
            if known is None or known is not self._token or self._clock.now() >= known.expires_at:
                raise
            log.warning("The access token could not be renewed and is used until it expires: %s", error.message)
            return known.value

    def forget(self, token: str) -> None:
        """A token was refused: the next request asks for another one."""
        if self._token is not None and self._token.value == token:
            self._token = None

    def _renewed(self, renewal: asyncio.Task[Token]) -> None:
        self._renewal = None
        if not renewal.cancelled() and renewal.exception() is None:
            self._token = renewal.result()

    async def _renew(self) -> Token:
        name = self._settings.provider
        try:
            return await asyncio.to_thread(self._ask)
        except TransportError as error:
            raise UpstreamUnreachable(f"Google could not be asked for a token of {name}: {_words(error)}.") from error
        except (GoogleAuthError, OSError, ValueError) as error:
            raise UpstreamAuth(f"There is no access token for {name}: {_words(error)}.") from error

    def _ask(self) -> Token:
        """Runs in a thread, one at a time."""
        with _session(self._settings) as session:
            request = Request(session)
            if self._credentials is None:
                self._credentials = _load(self._settings.credentials_file, request)
            self._credentials.refresh(partial(request, timeout=_ASK_SECONDS))
        value, expiry = self._credentials.token, self._credentials.expiry
        if not value:
            raise UpstreamAuth(f"Google gave no access token to {self._settings.provider}.")
        # google-auth's times are UTC and do not say so; a token without one is asked for anew each time
        return Token(value, expiry.replace(tzinfo=UTC).timestamp() if expiry else self._clock.now())


class _TrustingAdapter(HTTPAdapter):
    """Trusts the certificates of a file beside the usual ones."""

    def __init__(self, ca_file: str) -> None:
        self._context = tls_context(ca_file, verify=True)
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **settings)

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **settings)


def _session(settings: TokenSettings) -> requests.Session:
    session = requests.Session()
    session.trust_env = not settings.proxy
    if settings.proxy not in ("", "none"):
        session.proxies = {"https": settings.proxy}  # not the metadata server, which is next door and without TLS
    if settings.ca_file:
        session.mount("https://", _TrustingAdapter(settings.ca_file))
    return session


def _load(credentials_file: str, request: Request) -> Credentials:
    if not credentials_file:
        credentials, _ = google.auth.default(scopes=SCOPES, request=request)
        return credentials
    own: Credentials = service_account.Credentials.from_service_account_file(credentials_file, scopes=SCOPES)
    return own


def _words(error: Exception) -> str:
    """The first line of what google-auth says, which has no secrets in it."""
    said = str(error.args[0]) if error.args and not isinstance(error, OSError) else str(error)
    return said.split("\n")[0][:_LONGEST_WORDS].rstrip(".") or type(error).__name__
