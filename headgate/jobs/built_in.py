"""The kinds of jobs that come with headgate, beside those that are one request."""

from __future__ import annotations

from headgate.jobs.batch_kind import BATCH_KIND
from headgate.jobs.calls import ROUTES
from headgate.jobs.extract import EXTRACT, EXTRACT_ONE, extract_kinds
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kind
from headgate.jobs.models import Models
from headgate.jobs.report import REPORT, report_kinds
from headgate.jobs.summarize import COMBINE, READ, SUMMARIZE, summary_kinds

# Of kinds and of their parts: no pipeline may be called so.
NAMES = frozenset({*ROUTES, BATCH_KIND, SUMMARIZE, READ, COMBINE, EXTRACT, EXTRACT_ONE, REPORT})


def built_in_kinds(models: Models, files: FileDocuments) -> dict[str, Kind]:
    """By name; those of their parts are among them."""
    return {**summary_kinds(models, files), **extract_kinds(models, files), **report_kinds(models, files)}
