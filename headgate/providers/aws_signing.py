"""AWS's signatures (Signature Version 4), with credentials from wherever AWS's own tools find them.

botocore finds, refreshes and signs. Whatever may block (files, the metadata service, single sign-on) runs in a thread;
signing is arithmetic (0.1 ms, and 1.1 ms for each megabyte of a body), and only that of large bodies leaves the loop.

Needs the extra `headgate[bedrock]`: importing this module without it raises MissingExtra.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headgate.errors import MissingExtra, UpstreamAuth, UpstreamUnreachable
from headgate.types import Frozen

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as AwsConnectionError
    from botocore.session import Session
except ImportError as missing:
    raise MissingExtra(
        "A provider of the kind bedrock needs headgate[bedrock]: pip install 'headgate[bedrock]'."
    ) from missing

LARGE_BODY_BYTES = 262_144  # signing a larger one would keep everybody else waiting
_LONGEST_WORDS = 300


class SigningSettings(Frozen, frozen=True):
    """Whose signatures, and for what."""

    provider: str  # its name in the configuration, for error messages
    region: str
    profile: str = ""  # of AWS's configuration files; empty: AWS_PROFILE, or what the chain of credentials has first
    service: str = "bedrock"


class AwsSigner:
    """Implements `bedrock.Signer`. Credentials are not looked for before the first request."""

    def __init__(self, settings: SigningSettings) -> None:
        self._settings = settings
        self._credentials: Credentials | None = None
        self._frozen: ReadOnlyCredentials | None = None
        self._loading = asyncio.Lock()

    async def sign(self, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        """The headers that prove a POST of `body` to `url`. Raises UpstreamAuth or UpstreamUnreachable."""
        frozen = self._frozen
        if frozen is None or self._is_stale():
            frozen = await self._load()
        if len(body) > LARGE_BODY_BYTES:
            return await asyncio.to_thread(self._sign, frozen, url, body)
        return self._sign(frozen, url, body)

    def forget(self) -> None:
        """Look for credentials anew before the next request."""
        self._credentials = self._frozen = None

    def _is_stale(self) -> bool:
        """Whether botocore would refresh the credentials: from a quarter of an hour before they expire."""
        return isinstance(self._credentials, RefreshableCredentials) and bool(self._credentials.refresh_needed())

    async def _load(self) -> ReadOnlyCredentials:
        """Find or refresh the credentials, once however many requests wait for them."""
        async with self._loading:
            if self._frozen is not None and not self._is_stale():
                return self._frozen
            name = self._settings.provider
            try:
                self._credentials, self._frozen = await asyncio.to_thread(self._find)
            except (AwsConnectionError, HTTPClientError) as error:
                raise UpstreamUnreachable(f"AWS could not give credentials for {name}: {_words(error)}") from error
            except (BotoCoreError, ClientError, OSError, ValueError) as error:
                raise UpstreamAuth(f"There are no AWS credentials for {name}: {_words(error)}") from error
            return self._frozen

    def _find(self) -> tuple[Credentials, ReadOnlyCredentials]:
        """Runs in a thread, one at a time."""
        credentials = self._credentials
        if credentials is None:
            credentials = Session(profile=self._settings.profile or None).get_credentials()
        if credentials is None:
            raise UpstreamAuth(
                f"There are no AWS credentials for {self._settings.provider}. Set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY or AWS_PROFILE, run where a role is given, or configure api_key or profile."
            )
        return credentials, credentials.get_frozen_credentials()

    def _sign(self, credentials: ReadOnlyCredentials, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        request = AWSRequest(method="POST", url=url, data=body)
        SigV4Auth(credentials, self._settings.service, self._settings.region).add_auth(request)
        return [(name.lower(), value) for name, value in request.headers.items()]


def _words(error: Exception) -> str:
    """The first line of what botocore says, which has no secrets in it."""
    return str(error).split("\n")[0][:_LONGEST_WORDS] or type(error).__name__
