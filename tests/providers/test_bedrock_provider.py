"""The provider `bedrock`: its URLs, its keys, and signatures that AWS's own library makes too."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.errors import RouteNotServed, UpstreamAuth, UpstreamError, UpstreamUnreachable
from headgate.providers.aws_signing import LARGE_BODY_BYTES, AwsSigner, SigningSettings
from headgate.providers.bedrock import BedrockProvider, NoSigner, Signer
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation
from tests.providers.aws import KEY_ID, REGION, SECRET, TOKEN, credentials, giving_credentials, is_signed
from tests.providers.aws import nowhere as nowhere
from tests.providers.loopback import HOST, JSON_ANSWER, Server, answering, header, serving

CONVERSE = Operation(Api.CONVERSE, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", stream=False)
ARN = "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0"
BODY = '{"messages":[{"role":"user","content":[{"text":"Grüße"}]}]}'.encode()
EXPIRED = (
    b"HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: ExpiredTokenException:http://internal.amazon.com/coral/\r\n"
    b"content-type: application/json\r\ncontent-length: 13\r\n\r\n" + b'{"message":1}'
)


def signer(profile: str = "") -> AwsSigner:
    return AwsSigner(SigningSettings("bedrock", REGION, profile))


def provider_with(proof: Signer) -> BedrockProvider:
    return BedrockProvider("bedrock", Connector(ConnectSettings()), PoolSettings(), {}, proof)


async def ask(
    provider: BedrockProvider,
    server: Server,
    operation: Operation = CONVERSE,
    api_key: str = "none",
    body: bytes = BODY,
) -> str:
    """The head of the request that reaches the server."""
    endpoint = f"http://{HOST}:{server.port}"
    headers = (("traceparent", "00-1-2-01"),)
    response = await provider.send(operation, body, endpoint=endpoint, api_key=api_key, headers=headers)
    await response.read()
    response.close()
    assert server.peers[-1].requests[-1][1] == body
    return server.peers[-1].requests[-1][0]


@pytest.fixture
def with_keys(nowhere: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials in the environment."""
    nowhere.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    nowhere.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return nowhere


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (CONVERSE, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        (
            Operation(Api.CONVERSE, "amazon.nova-micro-v1:0", stream=True),
            "/model/amazon.nova-micro-v1%3A0/converse-stream",
        ),
        (
            Operation(Api.CONVERSE, ARN, stream=False),
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A012345678901%3Ainference-profile%2F"
            "us.anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse",
        ),
        (Operation(Api.CONVERSE, "../a b\r\nü?", stream=False), "/model/..%2Fa%20b%0D%0A%C3%BC%3F/converse"),
    ],
)
def test_each_model_has_its_url_and_each_request_its_signature(
    operation: Operation, path: str, with_keys: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with(signer())
            head = await ask(provider, server, operation)
            assert head.startswith(f"POST {path} HTTP/1.1\r\n")
            assert is_signed(head, BODY, server.port)
            assert not is_signed(head, BODY + b" ", server.port) and not is_signed(head, BODY, server.port, "other")
            assert header(head, "content-type") == "application/json" and header(head, "traceparent") == "00-1-2-01"
            await provider.aclose()

    asyncio.run(scenario())


def test_a_session_token_is_signed_as_well(with_keys: pytest.MonkeyPatch) -> None:
    with_keys.setenv("AWS_SESSION_TOKEN", TOKEN)

    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            head = await ask(provider_with(signer()), server)
            assert header(head, "x-amz-security-token") == TOKEN and is_signed(head, BODY, server.port)
            assert "x-amz-security-token" in (header(head, "authorization") or "")

    asyncio.run(scenario())


def test_a_large_body_is_signed_too(with_keys: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            large = b"x" * (LARGE_BODY_BYTES + 1)
            assert is_signed(await ask(provider_with(signer()), server, body=large), large, server.port)

    asyncio.run(scenario())


def test_a_key_of_bedrock_is_sent_as_it_is_and_needs_no_credentials(nowhere: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            head = await ask(provider_with(signer()), server, api_key="bedrock-api-key-1")
            assert header(head, "authorization") == "Bearer bedrock-api-key-1" and header(head, "x-amz-date") is None
            head = await ask(provider_with(NoSigner()), server)
            assert header(head, "authorization") is None

    asyncio.run(scenario())


def test_a_profile_is_read_from_awss_files(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(f"[llm]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n")

    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            assert is_signed(await ask(provider_with(signer("llm")), server), BODY, server.port)
            with pytest.raises(UpstreamAuth, match=r"no AWS credentials for bedrock: .*\(other\)"):
                await ask(provider_with(signer("other")), server)
            with pytest.raises(UpstreamAuth, match="Set AWS_ACCESS_KEY_ID and"):
                await ask(provider_with(signer()), server)
            assert len(server.peers) == 1

    asyncio.run(scenario())


def in_minutes(minutes: float) -> str:
    time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def container(environment: pytest.MonkeyPatch, server: Server) -> None:
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{HOST}:{server.port}/credentials")
    environment.setenv("NO_PROXY", "*")


def test_credentials_are_asked_for_once_and_off_the_loop(nowhere: pytest.MonkeyPatch) -> None:
    """The loop that sends also serves the credentials: if it waited for them, nobody would ever give them."""

    async def scenario() -> None:
        async with (
            serving(giving_credentials(credentials(SECRET, in_minutes(60)))) as giver,
            serving(answering(JSON_ANSWER)) as server,
        ):
            container(nowhere, giver)
            provider = provider_with(signer())
            await asyncio.gather(*(ask_alone(provider, server) for _ in range(10)))
            await ask_alone(provider, server)
            assert sum(len(peer.requests) for peer in giver.peers) == 1
            for peer in server.peers:
                assert all(is_signed(head, body, server.port) for head, body in peer.requests)

    asyncio.run(scenario())


async def ask_alone(provider: BedrockProvider, server: Server) -> None:
    """A request among others."""
    endpoint = f"http://{HOST}:{server.port}"
    response = await provider.send(CONVERSE, BODY, endpoint=endpoint, api_key="")
    await response.read()
    response.close()


def test_credentials_are_renewed_before_they_expire(nowhere: pytest.MonkeyPatch) -> None:
    first, second = credentials("first", in_minutes(5)), credentials(SECRET, in_minutes(60))

    async def scenario() -> None:
        async with serving(giving_credentials(first, second)) as giver, serving(answering(JSON_ANSWER)) as server:
            container(nowhere, giver)
            provider = provider_with(signer())
            # botocore renews what is given with so little time left at once
            heads = [await ask(provider, server) for _ in range(3)]
            assert all(is_signed(head, BODY, server.port) for head in heads[1:])
            assert sum(len(peer.requests) for peer in giver.peers) == 2

    asyncio.run(scenario())


def test_credentials_that_aws_calls_expired_are_looked_for_anew(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(secret: str) -> None:
        text = f"[default]\naws_access_key_id={KEY_ID}\naws_secret_access_key={secret}\naws_session_token={TOKEN}\n"
        (tmp_path / "credentials").write_text(text)

    async def scenario() -> None:
        write("old")
        async with serving(answering(EXPIRED, JSON_ANSWER)) as server:
            provider = provider_with(signer())
            assert is_signed(await ask(provider, server), BODY, server.port, "old")
            write(SECRET)  # as a tool beside the gateway does
            assert is_signed(await ask(provider, server), BODY, server.port)

    asyncio.run(scenario())


async def refusal(server: Server) -> UpstreamError:
    """The error of a request that never reaches the server."""
    with pytest.raises(UpstreamError) as caught:
        await ask(provider_with(signer()), server)
    assert server.peers == []
    return caught.value


def test_who_refuses_credentials_and_who_cannot_be_asked(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("web-identity")
    nowhere.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    nowhere.setenv("AWS_ROLE_ARN", "arn:aws:iam::012345678901:role/llm")
    nowhere.setenv("AWS_DEFAULT_REGION", REGION)
    nowhere.setenv("AWS_MAX_ATTEMPTS", "1")
    words = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you.</Message></Error></ErrorResponse>"
    denied = b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/xml\r\ncontent-length: %d\r\n\r\n" % len(words) + words

    async def scenario() -> None:
        async with serving(answering(denied)) as service, serving(answering(JSON_ANSWER)) as server:
            nowhere.setenv("AWS_ENDPOINT_URL_STS", f"http://{HOST}:{service.port}")
            refused = await refusal(server)
            assert isinstance(refused, UpstreamAuth) and "Not you." in refused.message
            nowhere.setenv("AWS_ENDPOINT_URL_STS", f"http://{HOST}:1")
            unreachable = await refusal(server)
            assert isinstance(unreachable, UpstreamUnreachable) and "credentials for bedrock" in unreachable.message

    asyncio.run(scenario())


def test_a_waiting_request_that_is_cancelled_leaves_the_others_their_turn(nowhere: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with (
            serving(giving_credentials(credentials(SECRET, in_minutes(60)))) as giver,
            serving(answering(JSON_ANSWER)) as server,
        ):
            container(nowhere, giver)
            provider = provider_with(signer())
            first, second = (asyncio.ensure_future(ask_alone(provider, server)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await second
            assert first.cancelled()
            head, body = server.peers[-1].requests[-1]
            assert is_signed(head, body, server.port)

    asyncio.run(scenario())


def test_other_apis_are_not_served() -> None:
    operation = Operation(Api.EMBEDDINGS, "amazon.titan-embed-text-v2:0", stream=False)

    async def scenario() -> None:
        with pytest.raises(RouteNotServed, match="embeddings"):
            await provider_with(NoSigner()).send(operation, b"{}", endpoint="http://a", api_key="")

    asyncio.run(scenario())


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys; sys.modules['botocore.auth'] = None\n"
        "from headgate.errors import MissingExtra\n"
        "import headgate.providers.bedrock\n"
        "try:\n    import headgate.providers.aws_signing\n"
        "except MissingExtra as error:\n    print(error.message)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "headgate[bedrock]" in told
