"""The kinds of jobs that come with headgate, beside those that are one request."""

from __future__ import annotations

from headgate.jobs.extract import extract_kinds
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models
from headgate.jobs.report import report_kinds
from headgate.jobs.summarize import summary_kinds


def built_in_kinds(models: Models) -> dict[str, Kind]:
    """By name; those of their parts are among them."""
    return {**summary_kinds(models), **extract_kinds(models), **report_kinds(models)}
