"""What applications keep under /v1/cache."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import pytest

from headgate.policy.objects import object_key, texts_of
from tests.admin.office import ALICE, CONFIG, Office, error_of, in_office

CAROL = {"authorization": "Bearer hg-hobby-carol-0003"}
URL = "/v1/cache/retrieval/docs/42"
VALUE = {"passages": ["Rivers end in the sea."], "scores": [0.5, 1]}


async def put(office: Office, value: object, headers: dict[str, str] = ALICE, **more: object) -> httpx.Response:
    content = msgspec.json.encode({"value": value, **more})
    return await office.client.put(URL, headers=headers, content=content)


def test_a_value_is_kept_and_found_and_dropped(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        error_of(await office.get(URL, ALICE), 404)
        kept = (await put(office, VALUE, ttl_seconds=60)).json()
        assert (kept["namespace"], kept["key"], kept["private"]) == ("retrieval", "docs/42", False)
        assert kept["expires_at"] - kept["stored_at"] == pytest.approx(60)
        found = (await office.get(URL, ALICE)).json()
        assert found == {**kept, "value": VALUE}
        assert (await office.client.head(URL, headers=ALICE)).status_code == 200
        assert (await office.client.delete(URL, headers=ALICE)).json() == {"deleted": True}
        error_of(await office.get(URL, ALICE), 404)
        assert (await office.client.delete(URL, headers=ALICE)).json() == {"deleted": False}
        assert (await office.client.head(URL, headers=ALICE)).status_code == 404

    in_office(tmp_path, scenario)


def test_values_grow_old(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, VALUE, ttl_seconds=60)
        now = office.clock.now()
        office.cache._now = lambda: now + 61
        error_of(await office.get(URL, ALICE), 404)

    in_office(tmp_path, scenario)


def test_another_tenant_has_its_own(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, "acme's")
        error_of(await office.get(URL, CAROL), 404)
        await put(office, "hobby's", CAROL)
        assert (await office.get(URL, ALICE)).json()["value"] == "acme's"
        await office.client.delete(URL, headers=CAROL)
        assert (await office.get(URL, ALICE)).json()["value"] == "acme's"
        error_of(await office.client.get(URL), 401)

    in_office(tmp_path, scenario)


def test_a_private_value_is_its_users(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        ada, bob = ({**CAROL, "x-headgate-user": name} for name in ("ada", "bob"))
        assert (await put(office, "ada's", ada, private=True)).json()["private"] is True
        assert (await office.get(URL, ada)).json()["value"] == "ada's"
        error_of(await office.get(URL, bob), 404)
        error_of(await put(office, "nobody's", CAROL, private=True), 400)
        await put(office, "everybody's", bob)
        assert (await office.get(URL, ada)).json()["value"] == "ada's"
        assert (await office.get(URL, bob)).json()["private"] is False
        await put(office, "newer", ada)
        assert (await office.get(URL, ada)).json()["value"] == "newer"
        error_of(await office.get(URL, {**ALICE, "x-headgate-user": "bob"}), 403)

    in_office(tmp_path, scenario)


def test_what_may_not_be_kept_is_refused(tmp_path: Path) -> None:
    config = CONFIG + b"pii: {store: [ip], private: [email], redact: [phone]}\n"

    async def scenario(office: Office) -> None:
        assert (await put(office, "from 192.168.17.4")).status_code == 200
        assert (await put(office, {"to": "ada@example.com"})).json()["private"] is True
        for value in (
            "sk-proj-a1B2c3D4e5F6g7H8",
            {"n": [4111111111111111]},
            "call +49 30 901820",
            "x" * 30_000 + " 4111111111111111",
        ):
            refused = error_of(await put(office, value), 400)
            assert "4111" not in str(refused)
        assert (await put(office, "mail ada@example.com", CAROL)).status_code == 400  # nobody's in particular

    in_office(tmp_path, scenario, config)


def test_values_are_bounded(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        error_of(await put(office, "x" * 1_000_001), 413)
        error_of(await put(office, VALUE, ttl_seconds=0), 400)
        error_of(await put(office, VALUE, ttl_seconds=10**9), 400)
        error_of(await put(office, VALUE, tll_seconds=1), 400)
        error_of(await office.client.put(URL, headers=ALICE, content=b"{}"), 400)
        for number in range(50):
            await office.client.put(f"/v1/cache/many/{number}", headers=ALICE, content=b'{"value": 1}')
        assert office.cache.size().entries <= 10

    in_office(tmp_path, scenario)


def test_an_operator_drops_a_namespace(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, VALUE)
        await office.client.put("/v1/cache/other/1", headers=ALICE, content=b'{"value": 1}')
        assert (await office.post("/admin/cache/flush", {"model": "cache/retrieval"})).json() == {"flushed": 1}
        error_of(await office.get(URL, ALICE), 404)
        assert (await office.get("/v1/cache/other/1", ALICE)).json()["value"] == 1

    in_office(tmp_path, scenario)


def test_no_two_names_are_the_same() -> None:
    names = [
        ("a", "b", "c"),
        ("a", "bc", ""),
        ("ab", "c", ""),
        ("a", "b", "c", "u"),
        ("a", "b", "c", ""),
        ("u", "a", "b"),
    ]
    assert len({object_key(*name) for name in names}) == len(names)


def test_everything_readable_in_a_value_is_read() -> None:
    assert list(texts_of({"a": ["b", 1, 2.5, True, None, {"c": "d"}]})) == ["a", "b", "1", "2.5", "c", "d"]
