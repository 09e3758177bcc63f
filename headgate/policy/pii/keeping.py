"""What may be kept of a request's words: for caches, and for whatever else would store a prompt or an answer.

The rules, by class of content: kept as it is, kept redacted, kept for the one user of the tenant only, or never. A
class that no rule names is never kept, and secrets are never kept whatever the rules say.

Redaction concerns what is stored, never what is served. An answer with something to redact in it is not stored at all:
served without it, it would be another answer. A question is stored with its values replaced, and belongs to requests
that hold the very same values: `marker` tells them apart without telling them, and is a part of the entry's place. It
is a digest and no encryption: who has the store and guesses a value can find out that the guess was right. For classes
where that matters the rule is `never`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from headgate.policy.pii.find import find
from headgate.policy.pii.findings import Finding, PiiClass
from headgate.policy.pii.rules import Rules, Scope
from headgate.types import Frozen


class Keep(Frozen, frozen=True, gc=False):
    """The decision. `redacted` is the question as it may be stored, None: as it is. `marker` belongs to it."""

    scope: Scope
    reason: str
    redacted: str | None = None
    marker: str = ""  # of the values that were redacted; entries serve requests with the same one


KEEP_AS_IT_IS = Keep(Scope.TENANT, "nothing that a rule names was found")


def keep(rules: Rules, question: str, answer: str, *, user: str | None, context: Sequence[str] = ()) -> Keep:
    """Decide what may be kept of a question and its answer.

    `context` are other texts of the prompt, of which no more than a digest is stored: the system prompt, earlier turns.
    `user` is whose request it is, None if it is nobody's in particular. Takes time in proportion to the texts: some
    microseconds for a short one, a millisecond for 50,000 characters of prose; off the event loop for more than that.
    """
    asked = find(question, rules.looked_for, rules.names)
    around = [finding for text in context for finding in find(text, rules.looked_for, rules.names)]
    answered = find(answer, rules.looked_for, rules.names)
    if not asked and not around and not answered:
        return KEEP_AS_IT_IS
    for where, found in (("question", asked), ("context", around), ("answer", answered)):
        if refused := _never(rules, found):
            return Keep(Scope.NOTHING, f"the {where} holds what is never kept: {refused}")
    if redactable := _classes(answered, rules.redact):
        return Keep(Scope.NOTHING, f"the answer would have to be redacted: {redactable}")
    scope, reason = Scope.TENANT, "redacted"
    if private := _classes([*asked, *around, *answered], rules.private):
        if user is None:
            return Keep(Scope.NOTHING, f"it would be kept for its user alone and has none: {private}")
        scope, reason = Scope.USER, f"for its user alone: {private}"
    hidden = [finding for finding in asked if finding.pii_class in rules.redact]
    if not hidden:
        return Keep(scope, reason if scope is Scope.USER else KEEP_AS_IT_IS.reason)
    return Keep(scope, reason, redact(question, hidden), marker(question, hidden))


def question_marker(rules: Rules, question: str) -> tuple[str, str]:
    """A question as it would be stored, and its marker: what a look-up compares with what `keep` said of an entry."""
    hidden = find(question, rules.redact, rules.names) if rules.redact else []
    hidden = [finding for finding in hidden if finding.pii_class is not PiiClass.SECRET]
    return (redact(question, hidden), marker(question, hidden)) if hidden else (question, "")


def redact(text: str, found: Sequence[Finding]) -> str:
    """A text with each finding replaced by the name of its class: `[email]`."""
    pieces, position = [], 0
    for finding in found:
        pieces += [text[position : finding.start], f"[{finding.pii_class}]"]
        position = finding.end
    return "".join([*pieces, text[position:]])


def marker(text: str, found: Sequence[Finding]) -> str:
    """A digest of the values of findings, in their order."""
    values = "\0".join(f"{finding.pii_class}={text[finding.start : finding.end]}" for finding in found)
    return hashlib.sha256(values.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _never(rules: Rules, found: Sequence[Finding]) -> str:
    allowed = (rules.store | rules.redact | rules.private) - {PiiClass.SECRET}
    return ", ".join(sorted({finding.pii_class for finding in found if finding.pii_class not in allowed}))


def _classes(found: Sequence[Finding], classes: frozenset[PiiClass]) -> str:
    return ", ".join(sorted({finding.pii_class for finding in found if finding.pii_class in classes}))
