"""Checks of single values that their type alone cannot tell: URLs, keys, time zones, shares that must add up.

Pure: reads the typed configuration (and the system's time zones), adds to the findings. Never prints a key or a URL,
which may carry a password.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from headgate.config.addresses import KINDS_WITH_KEY, base_url
from headgate.config.problems import Findings, Place, nearest, written
from headgate.config.schema import Config, ProviderConfig, ServerConfig

SHORTEST_KEY = 16
FEWEST_DIFFERENT = 6  # characters of a key after hg-; random ones of that length have far more
_KEY = re.compile(r"hg-[\x21-\x7e]+")
_PLACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")  # of a cloud: a project, a region
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.:_\[\]-]+")  # of a web page, as a browser writes it
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NEW_KEY = "make one with: python3 -c \"import secrets; print('hg-' + secrets.token_urlsafe(24))\""
_STORES = ("memory", "redis://", "rediss://", "unix://")
_DATABASES = ("sqlite", "postgresql://")
QUEUE_KINDS = ("redis://", "rediss://", "amqp://", "amqps://", "kafka://", "sqs://")
_QUEUES = ("sql", *QUEUE_KINDS)


_REQUEST_PATHS = ("/completions", "/embeddings", "/messages", "/responses")
_ADDRESS_HINTS = {
    "openai": "e.g. base_url: https://api.openai.com/v1",
    "azure": "e.g. base_url: https://NAME.openai.azure.com",
    "bedrock": "e.g. region: us-east-1",
}


def check_values(config: Config, findings: Findings) -> None:
    """Add an error or warning for every value that cannot work or should not be used."""
    _check_server(config.server, findings)
    for name, value, choices in (
        ("store", config.store, _STORES),
        ("database", config.database, _DATABASES),
        ("queue", config.queue, _QUEUES),
    ):
        if not any(value == one or (one.endswith("://") and value.startswith(one)) for one in choices):
            findings.error((name,), "not one of the kinds there are", f"choose {' or '.join(choices)}")
    if not config.store.startswith("unix://") and "://" in config.store:
        _check_store(config.store, findings)
    for provider_name, provider in config.providers.items():
        needs_url = _uses_base_url(config, provider_name)
        _check_provider(provider, ("providers", provider_name), findings, needs_url)
    for model_name, model in config.models.items():
        place: Place = ("models", model_name)
        if not model.deployments:
            findings.error((*place, "deployments"), "a model needs a deployment", "add {provider: ..., model: ...}")
        elif not any(deployment.weight for deployment in model.deployments):
            findings.error((*place, "deployments"), "all weights are 0", "give at least one a weight above 0")
        for index, deployment in enumerate(model.deployments):
            for number, endpoint in enumerate(deployment.endpoints):
                _check_endpoint(endpoint, (*place, "deployments", index, "endpoints", number), findings)
    _check_tenants(config, findings)


def _check_store(store: str, findings: Findings) -> None:
    """A host, a port that is one, and the number of a database."""
    place, advice = ("store",), "write e.g. redis://:PASSWORD@HOST:6379/0"
    try:
        parts = urlsplit(store)
        port = parts.port
    except ValueError:
        findings.error(place, "the port is no number between 1 and 65535", advice)
        return
    if not parts.hostname or port == 0:
        findings.error(place, "no host or no port", advice)
    if parts.path not in ("", "/") and not parts.path[1:].isdigit():
        findings.error(place, "what follows the host is not the number of a database", advice)


def _check_server(server: ServerConfig, findings: Findings) -> None:
    loopback = server.host in ("localhost", "::1") or server.host.startswith("127.")
    if server.authentication == "off" and not loopback:
        message = "everybody who reaches this host may spend your money"
        findings.warning(("server", "authentication"), message, "use authentication: required or host: 127.0.0.1")
    for index, network in enumerate(server.trusted_proxies):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            findings.error(("server", "trusted_proxies", index), "not an address or network", "write e.g. 10.0.0.0/8")
    for index, origin in enumerate(server.cors_origins):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            hint = 'write scheme://host or scheme://host:port, in small letters and without a path, or "*" for all'
            findings.error(("server", "cors_origins", index), "not the origin of a web page", hint)
    if server.tracing.otlp_endpoint:
        check_url(server.tracing.otlp_endpoint, ("server", "tracing", "otlp_endpoint"), findings)


def _check_provider(provider: ProviderConfig, place: Place, findings: Findings, needs_url: bool) -> None:
    if provider.base_url:
        _check_endpoint(provider.base_url, (*place, "base_url"), findings)
        if provider.base_url.rstrip("/").endswith(_REQUEST_PATHS):
            findings.error((*place, "base_url"), "contains the path of a request", "end it at the version, e.g. /v1")
        elif provider.kind == "openai" and urlsplit(provider.base_url).path in ("", "/"):
            message = "has no path; nearly every server wants a version"
            findings.note((*place, "base_url"), message, "write e.g. https://host.example/v1, unless yours has none")
    elif needs_url and provider.kind != "sim" and not base_url(provider):
        name = "region" if provider.kind == "bedrock" else "base_url"
        findings.error((*place, name), "missing", f"add {_ADDRESS_HINTS[provider.kind]}")
    _check_vertex(provider, place, findings)
    is_signed = provider.kind == "bedrock" and not provider.api_key and not any(provider.api_keys)
    if is_signed and base_url(provider) and not _PLACE_NAME.fullmatch(provider.region):
        findings.error((*place, "region"), "missing, or no name of a region", "write e.g. region: us-east-1")
    if provider.api_key and provider.api_keys not in ([], [provider.api_key]):
        findings.error((*place, "api_key"), "api_key and api_keys are both set", "keep one of them")
    elif _needs_key(provider, place, findings):
        hint = 'add api_key: "${NAME}", or api_key: none for a server that asks for none'
        findings.error((*place, "api_key"), "missing", hint)
    for index, key in enumerate(provider.api_keys):
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            where = (*place, "api_key") if provider.api_key else (*place, "api_keys", index)
            findings.error(where, "empty, or with characters that no key has", "check the variable or file")
    for name, value in provider.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
            findings.error((*place, "headers", name), "cannot be sent as a header", "use one line of plain text")
    if provider.proxy not in ("", "none"):
        check_url(provider.proxy, (*place, "proxy"), findings)
    if not provider.verify_tls:
        message = "anybody between here and the provider can read keys and prompts"
        findings.warning((*place, "verify_tls"), message, "trust a private certificate with ca_file instead")
    _check_sim(provider, (*place, "sim"), findings)


def _needs_key(provider: ProviderConfig, place: Place, findings: Findings) -> bool:
    """Whether a key is missing and nothing says why already: a variable that is not set, a kind that is not one."""
    keys: list[Place] = [(*place, "api_keys", index) for index in range(len(provider.api_keys))]
    is_told = any(map(findings.is_broken, [(*place, "kind"), *keys]))
    return provider.kind in KINDS_WITH_KEY and not provider.api_key and not any(provider.api_keys) and not is_told


def _check_vertex(provider: ProviderConfig, place: Place, findings: Findings) -> None:
    """A key says whose project it is; a token belongs to somebody who may use several."""
    has_key = bool(provider.api_key or provider.api_keys)
    if provider.kind == "vertex" and not has_key and not provider.project:
        findings.error((*place, "project"), "missing", "add project: NAME, or an api_key of Vertex AI")
    for name in ("project", "location"):
        value: str = getattr(provider, name)
        if value and not _PLACE_NAME.fullmatch(value):
            findings.error((*place, name), "no name of a project or region", "write e.g. location: europe-west4")


def _check_sim(provider: ProviderConfig, place: Place, findings: Findings) -> None:
    faults = msgspec.structs.asdict(provider.sim.faults)
    if sum(share for name, share in faults.items() if name != "retry_after_seconds") > 1 + 1e-9:
        findings.error((*place, "faults"), "the shares add up to more than 1", "lower some of them")
    for name in ("ttft_seconds", "itl_seconds", "output_tokens"):
        spread = getattr(provider.sim, name)
        if spread.p99 < spread.median:
            findings.error((*place, name, "p99"), "below the median", "the 99th percentile is at least the median")


def _check_tenants(config: Config, findings: Findings) -> None:
    seen: dict[str, Place] = {}
    for tenant_name, tenant in config.tenants.items():
        if not _is_timezone(tenant.timezone):
            place: Place = ("tenants", tenant_name, "timezone")
            known = zoneinfo.available_timezones()
            hint = nearest(tenant.timezone, known, "time zones") if known else "install tzdata: there are no zones here"
            findings.error(place, f"there is no time zone {findings.quoted(place, tenant.timezone)}", hint)
        for index, key in enumerate(tenant.keys):
            place = ("tenants", tenant_name, "keys", index, "key")
            _check_key(key.key, place, findings)
            if key.key in seen:
                message = f"the same key as {written(seen[key.key])}"
                findings.error(place, message, "every key belongs to one tenant and user")
            elif not findings.is_broken(place):
                seen[key.key] = place


def _check_key(key: str, place: Place, findings: Findings) -> None:
    if not _KEY.fullmatch(key):
        message = "a virtual key begins with hg- and has no spaces or special characters"
        findings.error(place, message, _NEW_KEY)
    elif len(key) < SHORTEST_KEY:
        findings.error(place, f"a virtual key has at least {SHORTEST_KEY} characters", _NEW_KEY)
    elif len(set(key.removeprefix("hg-"))) < FEWEST_DIFFERENT:
        findings.warning(place, "this key is easy to guess", _NEW_KEY)


def check_url(url: str, place: Place, findings: Findings) -> None:
    """Add an error for what is not an http or https URL."""
    if not _is_http_url(url):
        findings.error(place, "not an http or https URL", "write e.g. https://host.example/v1")


def _check_endpoint(url: str, place: Place, findings: Findings) -> None:
    """Paths are put behind it, and logs and the ledger name it: it must have nothing else and no secret."""
    check_url(url, place, findings)
    if findings.is_broken(place):
        return
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        findings.error(place, "has a user name, a query or a fragment", "put keys into api_key, and end it at the path")
    elif not url.isascii():
        findings.error(place, "is not plain ASCII", "write the host as xn--...")


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError when it is not a port
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


def _is_timezone(name: str) -> bool:
    if name == "UTC":
        return True  # even where no time zones are installed
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _uses_base_url(config: Config, provider_name: str) -> bool:
    """Whether some deployment of a provider has no endpoints of its own, or it has no deployment at all."""
    used: Sequence[bool] = [
        not deployment.endpoints
        for model in config.models.values()
        for deployment in model.deployments
        if deployment.provider == provider_name
    ]
    return any(used) or not used
