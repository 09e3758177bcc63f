"""The cache in the admin API."""

from __future__ import annotations

from pathlib import Path

from tests.admin.office import ALICE, Office, error_of, in_office
from tests.contract.test_cache_store import kept


def test_stats(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now = office.clock.now()
        office.cache.put(kept(stored_at=now, expires_at=now + 60))
        told = (await office.get("/admin/cache")).json()
        assert told == {
            "entries": 1,
            "bytes": office.cache.size().bytes,
            "max_entries": 100_000,
            "max_bytes": 256_000_000,
            "evicted": 0,
            "hits": {"exact": 3, "coalesced": 1, "idempotent": 7},
            "misses": 4,
            "hit_rate": 0.5,
            "kept": 2,
            "not_kept": {"sampled": 2},
            "saved_usd": "0.000082",
            "semantic": {},
        }

    in_office(tmp_path, scenario)


def test_one_entry(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now = office.clock.now()
        office.cache.put(kept(b"k1", stored_at=now, expires_at=now + 60))
        entry = (await office.get("/admin/cache/entries/req_k1")).json()
        assert (entry["tenant"], entry["answered_by"], entry["cost_usd"]) == ("acme", "small", "0.000082")
        assert entry["answer"].startswith('{"choices"')
        error_of(await office.get("/admin/cache/entries/req_k2"), 404)
        error_of(await office.get("/admin/cache/entries/req_k1", ALICE), 401)

    in_office(tmp_path, scenario)


def test_flush_is_audited(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now = office.clock.now()
        for key, version in ((b"k1", "v1"), (b"k2", "v2"), (b"k3", "v2")):
            office.cache.put(kept(key, prompt_version=version, expires_at=now + 60))
        assert (await office.post("/admin/cache/flush", {"prompt_version": "v2"})).json() == {"flushed": 2}
        assert office.cache.size().entries == 1
        (row,) = (await office.get("/admin/audit")).json()["data"]
        assert (row["command"], row["subject"], row["after"]) == ("FlushCache", "v2", {"flushed": 2})
        assert (await office.post("/admin/cache/flush", {})).json() == {"flushed": 1}
        error_of(await office.post("/admin/cache/flush", {"tennant": "acme"}), 400)

    in_office(tmp_path, scenario)
