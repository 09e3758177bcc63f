"""What Anthropic's SDKs ask of the list of models: pages, and errors in their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.admin.office import ALICE, Office, error_of, in_office

VERSION = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("asked", "ids", "has_more"),
    [
        ({}, ["small", "house/large", "auto"], False),
        ({"limit": 1000}, ["small", "house/large", "auto"], False),
        ({"limit": 2}, ["small", "house/large"], True),
        ({"limit": 2, "after_id": "house/large"}, ["auto"], False),
        ({"limit": 1, "after_id": "small"}, ["house/large"], True),
        ({"limit": 1, "before_id": "auto"}, ["house/large"], True),
        ({"before_id": "house/large"}, ["small"], False),
        ({"after_id": "auto"}, [], False),
    ],
)
def test_pages_of_models(tmp_path: Path, asked: dict[str, Any], ids: list[str], has_more: bool) -> None:
    async def scenario(office: Office) -> None:
        page = (await office.get("/v1/models", ALICE | VERSION, **asked)).json()
        assert ([model["id"] for model in page["data"]], page["has_more"]) == (ids, has_more)
        assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))

    in_office(tmp_path, scenario)


def test_who_names_anthropics_version_gets_its_shape_of_errors(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        missing = await office.get("/v1/models/nil", ALICE | VERSION)
        assert (missing.status_code, missing.json()["type"]) == (404, "error")
        assert missing.json()["error"]["type"] == "not_found_error"
        assert missing.headers["request-id"] == missing.json()["request_id"]
        unknown = await office.get("/v1/models", {"x-api-key": "hg-nobody"} | VERSION)
        assert (unknown.status_code, unknown.json()["error"]["type"]) == (401, "authentication_error")
        assert error_of(await office.get("/v1/models/nil", ALICE), 404)["code"] == "model_not_found"

    in_office(tmp_path, scenario)
