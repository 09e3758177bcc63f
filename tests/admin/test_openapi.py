"""The OpenAPI document lists what is served, no more and no less, and answers are as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec

from headgate.admin import openapi
from headgate.admin.endpoint import Access
from headgate.admin.routes import ENDPOINTS, KEY_PATH
from headgate.types import Route
from tests.admin.office import ADMIN, ALICE, CONFIG, Office, in_office, ledger_row
from tests.contract.test_cache_store import kept

DOCUMENT: dict[str, Any] = msgspec.json.decode(openapi.document(ENDPOINTS))
HOT_ROUTES = {("POST", f"/v1/{route.value}") for route in Route}
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def test_what_is_described_is_what_is_served() -> None:
    served = {(endpoint.method, endpoint.path.replace(":path}", "}")) for endpoint in ENDPOINTS}
    assert set(OPERATIONS) == served | HOT_ROUTES
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    assert all(operation["summary"] and "default" in operation["responses"] for operation in OPERATIONS.values())


def test_every_schema_that_is_referred_to_is_there() -> None:
    referred_to = re.findall(r'"#/components/schemas/([^"]+)"', openapi.document(ENDPOINTS).decode())
    assert set(referred_to) <= set(DOCUMENT["components"]["schemas"])


def test_no_number_is_taken_that_a_database_would_not_take() -> None:
    """What a limit is set to is looked at by the configuration's own checks."""
    taken = [one.takes for one in ENDPOINTS if one.path not in ("/admin/limits", "/admin/budgets")]
    numbers: list[dict[str, Any]] = []

    def find(schema: object) -> None:
        if isinstance(schema, dict):
            numbers.extend([schema] if schema.get("type") in ("integer", "number") else [])
            schema = list(schema.values())
        for part in schema if isinstance(schema, list) else ():
            find(part)

    find(list(msgspec.json.schema_components(taken)[1].values()))
    assert numbers and all("maximum" in one for one in numbers)


def test_what_an_endpoint_takes_is_described() -> None:
    usage = {parameter["name"]: parameter for parameter in OPERATIONS["GET", "/admin/usage"]["parameters"]}
    assert set(usage) == {"by", "since", "until", "tenant"}
    assert (
        set(usage["by"]["schema"]["enum"]) == {"tenant", "user", "model", "key", "day"} and not usage["by"]["required"]
    )
    (key_id,) = OPERATIONS["POST", "/admin/keys/{key_id}/rotate"]["parameters"]
    assert (key_id["name"], key_id["in"], key_id["required"]) == ("key_id", "path", True)
    body = OPERATIONS["POST", "/admin/keys"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["tenant"] and body["additionalProperties"] is False
    chat = OPERATIONS["POST", "/v1/chat/completions"]["requestBody"]["content"]["application/json"]["schema"]
    assert chat["required"] == ["model", "messages"] and chat["additionalProperties"] is True


QUERIES: dict[tuple[str, str], dict[str, str]] = {
    ("GET", "/admin/usage/limits"): {"tenant": "acme"},
    ("DELETE", "/v1/jobs/{job_id}"): {"cancel": "true"},
    ("DELETE", "/admin/limits"): {"tier": "free", "setting": "requests_per_minute"},
    ("DELETE", "/admin/budgets"): {"tenant": "acme", "setting": "tenant_month"},
}
REFUSED: dict[str, dict[str, int]] = {
    "GET": {"/admin/dead-letters/{id}": 400},  # no such id
    # the test has revoked the key by now, and no provider here can be asked for its bill
    "POST": {
        "/admin/keys/{key_id}/rotate": 409,
        "/admin/reconcile": 400,
        "/v1/jobs/{job_id}/documents": 400,  # it is a job of one request
    },
    "DELETE": {"/v1/messages/batches/{batch_id}": 409},  # it has not ended
}
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
MESSAGE_BATCH = {"requests": [{"custom_id": "a", "params": {}}]}


async def upload(office: Office) -> httpx.Response:
    form = {"file": ("a.jsonl", b"{}\n")}
    return await office.client.post("/v1/files", headers=ALICE, data={"purpose": "batch"}, files=form)


async def file_and_batch(office: Office, path: str) -> tuple[str, httpx.Response]:
    file_id = (await upload(office)).json()["id"]
    if path.startswith("/v1/messages"):
        return file_id, await office.post("/v1/messages/batches", MESSAGE_BATCH, headers=ALICE)
    return file_id, await office.post("/v1/batches", {**BATCH, "input_file_id": file_id}, headers=ALICE)


def test_answers_are_as_described(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await office.ledger.write([ledger_row(1)])
        office.cache.put(kept(expires_at=office.clock.now() + 60))
        made = (await office.post("/admin/keys", {"tenant": "acme"})).json()["id"]
        job = {"max_cost_usd": 0.5, "request": {"model": "small", "messages": [{"role": "user", "content": "hello"}]}}
        job_id = (await office.post("/v1/jobs", job, headers=ALICE)).json()["id"]
        bodies: dict[tuple[str, str], dict[str, Any]] = {
            ("POST", "/admin/keys"): {"tenant": "acme"},
            ("POST", "/v1/jobs"): job,
            ("POST", "/admin/erase"): {"tenant": "nobody"},
            ("POST", "/v1/jobs/estimate"): {"request": {"model": "small", "open": True}, "documents": 3},
            ("POST", "/v1/jobs/{job_id}/documents"): {"documents": []},
            ("POST", "/v1/jobs/{job_id}/requests"): {"requests": []},
            ("POST", "/v1/jobs/{job_id}/budget"): {"max_cost_usd": 1},
            ("PATCH", KEY_PATH): {"expires_at": None},
            ("POST", "/admin/velocity/reset"): {"tenant": "acme"},
            ("POST", "/admin/route/explain"): {
                "body": {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
            },
            ("POST", "/admin/route/gate"): {"router": "auto", "closed": True},
            ("POST", "/admin/dead-letters/redrive"): {"tenant": "acme"},
            ("POST", "/admin/dead-letters/drop"): {"tenant": "acme"},
            ("PUT", "/admin/limits"): {"tier": "free", "setting": "requests_per_minute", "value": 5},
            ("PUT", "/v1/cache/{namespace}/{key:path}"): {"value": [1]},
            ("PUT", "/admin/budgets"): {"tenant": "acme", "setting": "tenant_month", "value": 0.5},
        }
        for endpoint in ENDPOINTS:
            if endpoint.gives is None:
                continue
            headers = ALICE if endpoint.access is Access.CALLER else ADMIN
            url = endpoint.path.replace("{key_id}", made).replace("{model:path}", "house/large")
            url = url.replace("{request_id}", "req_k1").replace("{job_id}", job_id)
            file_id, made_batch = await file_and_batch(office, endpoint.path)
            url = url.replace("{file_id}", file_id).replace("{batch_id}", made_batch.json()["id"])
            bodies["POST", "/v1/batches"] = {**BATCH, "input_file_id": file_id}
            body = bodies.get((endpoint.method, endpoint.path), {})
            if endpoint.is_streamed:
                response = await upload(office) if url == "/v1/files" else made_batch
            else:
                response = await office.client.request(
                    endpoint.method,
                    url,
                    headers=headers,
                    params=QUERIES.get((endpoint.method, endpoint.path)),
                    json=body if endpoint.reads_body else None,
                )
            refused = REFUSED.get(endpoint.method, {})
            if endpoint.path in refused:
                assert response.status_code == refused[endpoint.path]
                shape = "AnthropicError" if endpoint.path.startswith("/v1/messages") else "Error"
                schema: dict[str, Any] = {"$ref": f"#/components/schemas/{shape}"}
            else:
                assert response.status_code == endpoint.status, (endpoint.path, response.text)
                schema = {"$ref": f"#/components/schemas/{endpoint.gives.__name__}"}
            jsonschema.validate(response.json(), {**schema, "components": DOCUMENT["components"]})
        assert (await office.get("/openapi.json", {})).json() == DOCUMENT

    config = CONFIG.replace(b'pro: {models: ["*"]}', b'pro: {models: ["*"], velocity: {usd_per_5_minutes: 1}}')
    in_office(tmp_path, scenario, config)
