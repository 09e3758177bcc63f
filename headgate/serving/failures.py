"""What is said of a failure on standard error or in the log."""

from __future__ import annotations

from headgate.config.problems import report
from headgate.errors import ConfigInvalid, HeadgateError


def sentence(error: HeadgateError | OSError) -> str:
    """What is wrong: the report on a configuration, the error's own sentence, or the file and what the system says."""
    if isinstance(error, ConfigInvalid):
        return report(error.problems)
    if isinstance(error, HeadgateError):
        return f"headgate: {error.message}"
    return f"headgate: {error.filename or 'the system'}: {error.strerror or error}"
