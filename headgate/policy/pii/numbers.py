"""What the groups of a run of digits are: cards, national ids, telephone numbers, or nothing.

A number in the middle of a run is known by itself alone; a word beside it can only be before the run, or after it. How
digits are written says what they may be: that is found once for each form, so that a table of numbers costs little.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from headgate.policy.pii import national, phones
from headgate.policy.pii.accounts import is_card, is_card_form
from headgate.policy.pii.digits import SHORTEST, Run
from headgate.policy.pii.findings import Finding, PiiClass
from headgate.policy.pii.phones import PhoneForm
from headgate.types import Frozen

LONGEST = 19  # digits
MOST_GROUPS = 7  # of one number: 1 85 05 78 006 084 36
_FORMS_KEPT = 4096
_PARTS = ("-", "/", ".", "_")  # before a number: it is the end of something longer


class Form(Frozen, frozen=True):
    """What digits that are written so may be."""

    may_be_anything: bool
    known_alone: bool = False  # whether it can be something without a word beside it
    card: bool = False
    checks: Sequence[national.Check] = ()
    weak_checks: Sequence[national.Check] = ()
    paper: bool = False
    phone: PhoneForm = PhoneForm()


class Beside(Frozen, frozen=True, gc=False):
    """What the words beside a number say of it."""

    names_person: bool = False
    names_paper: bool = False
    names_phone: bool = False


NOTHING_BESIDE = Beside()


@functools.lru_cache(maxsize=_FORMS_KEPT)
def form_of(form: str, length: int) -> Form:
    """Of a form as `Run` says it, and the number of its digits."""
    if not SHORTEST <= length <= LONGEST:
        return Form(may_be_anything=False)
    card, checks, phone = is_card_form(form), national.checks_of(form), phones.phone_form(form, length)
    return Form(
        may_be_anything=True,
        known_alone=card or bool(checks) or phone.alone or phone.after_bracket,
        card=card,
        checks=checks,
        weak_checks=national.weak_checks_of(length),
        paper=SHORTEST < length <= national.LONGEST_PAPER,
        phone=phone,
    )


def numbers(text: str, run: Run) -> Iterator[Finding]:
    """What a run is, one number after another: at each place the longest that is something, or nothing."""
    first = 0
    groups = run.groups
    if groups[-1][1] - run.start < SHORTEST:
        return
    beside = _before(text[max(0, run.start - national.LOOK_BACK) : run.start])
    while first < len(groups):
        found, beyond = _number_at(text, run, first, beside if first == 0 else NOTHING_BESIDE)
        if found is not None:
            yield found
        first = beyond


def _before(text: str) -> Beside:
    """What the words say that come before a number."""
    if not any(one.isalpha() for one in text):
        return NOTHING_BESIDE
    return Beside(
        names_person=national.ANNOUNCED.search(text) is not None,
        names_paper=national.PAPERS.search(text) is not None,
        names_phone=phones.announces(text),
    )


def _number_at(text: str, run: Run, first: int, beside: Beside) -> tuple[Finding | None, int]:
    """The number that begins with a group, or None; and the group after it."""
    groups = run.groups
    start = groups[first][0]
    if first and _is_glued(run.form[first]):
        return None, first + 1
    opening = text[run.start if first == 0 else groups[first - 1][1] : start].strip(" .-/)")
    forms, length = [run.form[first].lstrip("()+ .-/")], groups[first][1] - start
    candidates = [(forms[0], length)]
    for following in range(first + 1, min(len(groups), first + MOST_GROUPS)):
        length += groups[following][1] - groups[following][0]
        if length > LONGEST:
            break
        forms.append(run.form[following])
        candidates.append(("".join(forms), length))
    anything = beside is not NOTHING_BESIDE or "+" in opening or _begins_with_00(text, run, first)
    zero = text[start] == "0"
    for taken in range(len(candidates), 0, -1):
        shape, length = candidates[taken - 1]
        form, last = form_of(shape, length), first + taken - 1
        if last + 1 < len(groups) and _is_glued(run.form[last + 1]):
            continue
        possible = anything or form.known_alone or (zero and form.phone.after_trunk_zero) or last == len(groups) - 1
        if possible and form.may_be_anything:
            pii_class, end = _class_of(text, (groups[first : last + 1], shape, opening), form, beside)
            if pii_class is not None:
                begins = start - len(opening) if pii_class is PiiClass.PHONE else start
                return Finding(pii_class, begins, end), last + 1
    return None, first + 1


def _is_glued(separated: str) -> bool:
    """Whether a group belongs to what is before it: a part of a number is no number."""
    return separated[0] in "-./" and " " not in separated


def _begins_with_00(text: str, run: Run, first: int) -> bool:
    """As international numbers do, before the country code."""
    start, end = run.groups[first]
    if not text.startswith("00", start):
        return False
    country = start + 2 if end > start + 2 else run.groups[min(first + 1, len(run.groups) - 1)][0]
    return text[country] != "0"


def _class_of(
    text: str, written: tuple[tuple[tuple[int, int], ...], str, str], form: Form, beside: Beside
) -> tuple[PiiClass | None, int]:
    """What groups are, in their form and after their opening; and where it ends."""
    groups, shape, opening = written
    start, end = groups[0][0], groups[-1][1]
    digits = "".join([text[begin:beyond] for begin, beyond in groups])
    after = text[end : end + 1]
    ends_word = not (after.isalnum() or after == "_")
    if ends_word and form.card and is_card(digits):
        return PiiClass.CARD, end
    if ends_word and _is_national_id(digits, form, beside, text[max(0, start - 1) : start]):
        return PiiClass.NATIONAL_ID, end
    beyond = phones.end_of_phone(text, end)
    if not ends_word and beyond == end:
        return None, end
    if phones.is_phone(digits, shape, form.phone, opening):
        return PiiClass.PHONE, beyond
    can_be = form.phone.announced and phones.is_announced_phone(digits, shape)
    if can_be and (beside.names_phone or phones.explains(text, end)):
        return PiiClass.PHONE, beyond
    return None, end


def _is_national_id(digits: str, form: Form, beside: Beside, before: str) -> bool:
    if beside.names_paper and form.paper:
        return True
    if beside.names_person:
        return any(check(digits) for check in (*form.checks, *form.weak_checks))
    if beside.names_phone or before in _PARTS:
        return False
    return any(check(digits) for check in form.checks)
