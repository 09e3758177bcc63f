"""Benchmarks of jobs are built from parts by hand: they still fit together. Nothing here looks at their figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks import doorbell, jobs_kernel


def test_the_kernels(tmp_path: Path) -> None:
    assert all(value > 0 for value in asyncio.run(jobs_kernel.measure("sqlite", tmp_path, 20, 4)).values())


def test_the_doorbells(tmp_path: Path) -> None:
    assert len(asyncio.run(doorbell.measure(("sqlite", tmp_path), (None, None), 3))) >= 3
