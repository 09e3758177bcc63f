"""Telephone numbers: international ones by their country code, national ones by how they are written.

A number that could as well be something else counts if a word beside it says what it is. Sources: ITU-T E.164 (assigned
country codes, at most 15 digits), ITU-T E.123 (notation).
"""

from __future__ import annotations

import re

from headgate.types import Frozen

_COUNTRY_CODES = re.compile(
    r"1|7|2(?:0|7|1[1-368]|[2-346]\d|5[0-8]|9[017-9])|3(?:[0-469]|[578]\d)|4(?:[013-9]|2[013])|5(?:[1-8]|0\d|9\d)"
    r"|6(?:[0-6]|7[02-9]|8[0-35-9]|9[0-2])|8(?:[1246]|0[08]|5[02356]|7[08]|8[0368])|9(?:[0-58]|6[0-8]|7[0-79]|9[2-68])"
)
_WORD = (
    r"(?:phone|telephone|mobile|cell(?:ular)?|fax|tel|t[eé]l[eé]fono|t[eé]l[eé]phone|telefon\w*|telepono|celular|handy"
    r"|call|called|dial|ring|text me|sms|whatsapp|reach|contact|hotline|landline|answering|messages? to|registered"
    r"|my (?:\w+ )?number|numara\w*|desk:|office:)"
)
_LINK = r"(?:me|us|him|her|them|on|at|is|to|no|nr|number|numbers|numaram?|now|back|please|under|via|by|or)"
_BEFORE = re.compile(rf"\b{_WORD}(?:[\W_]+{_LINK}){{0,3}}[\W_]*$", re.IGNORECASE)
_AFTER = re.compile(r"[^0-9A-Za-z\n]{0,3}(?:office|fax|mobile|cell|home|work|desk)\b", re.IGNORECASE)
_LOOK_BACK = 40
_EXTENSION = re.compile(r" ?(?:x|ext\.? ?|extension )\d{1,6}\b", re.IGNORECASE)

_S = r"(?: |-|\.|\) ?|\) ?-)"  # between groups
_NORTH_AMERICAN = re.compile(r"(?:1(?: |-|\.| \())?3(?:([-.])3\1|\) ?3[-. ]| 3[- ]|-3\.)4")
_TRUNK = re.compile(r"(?:1(?: \(|[ -]))?[2-5](?:" + _S + r"[2-8]){1,4}|[3-5]/[3-8](?:[ -][2-5])?")  # 0490 75 40 81
_BRACKETED = re.compile(r"[1-5]\) ?-?[2-8](?:[ .-][2-5]){0,4}")  # (81) 3570-7492
_GROUPED = re.compile(r"[1-5](?:" + _S + r"[2-8]){1,5}")
_DATE = re.compile(r"(?:19|20)\d\d[01]\d[0-3]\d|[0-3]\d[01]\d(?:19|20)\d\d")
_PERIODS = re.compile(r"(?:19|20)\d\d(?:19|20)\d\d")


class PhoneForm(Frozen, frozen=True, gc=False):
    """What groups of digits allow: may they be a telephone number by themselves, and under which condition."""

    alone: bool = False
    after_trunk_zero: bool = False  # if the first digit is 0 and the second is not
    after_bracket: bool = False
    announced: bool = False  # if a word says so


def phone_form(form: str, length: int) -> PhoneForm:
    """Of a form and the number of its digits."""
    if length > 13:
        return PhoneForm()
    return PhoneForm(
        alone=_NORTH_AMERICAN.fullmatch(form) is not None,
        after_trunk_zero=9 <= length <= 11 and (_TRUNK.fullmatch(form) is not None or form == "11"),
        after_bracket=7 <= length <= 12 and _BRACKETED.fullmatch(form) is not None,
        announced=form.isdigit() or _GROUPED.fullmatch(form) is not None,
    )


def is_phone(digits: str, form: str, rules: PhoneForm, opening: str) -> bool:
    """Whether digits are a telephone number by themselves; `opening` is what is before them of + and (."""
    if "+" in opening or (digits.startswith("00") and not form.isdigit()):
        return _is_international(digits.removeprefix("00"), form)
    if rules.alone or (rules.after_bracket and opening == "("):
        return True
    if rules.after_trunk_zero and digits[0] == "0" != digits[1]:
        return form != "11" or digits[1] >= "5"  # without groups only mobile telephones', which begin so
    return False


def is_announced_phone(digits: str, form: str) -> bool:
    """Whether digits that a word announces can be what it says: not a day, nor a period of years."""
    return form.isdigit() or len(digits) != 8 or not (_DATE.fullmatch(digits) or _PERIODS.fullmatch(digits))


def announces(before: str) -> bool:
    """Whether a text says that what follows is a telephone number."""
    return _BEFORE.search(before[-_LOOK_BACK:]) is not None


def explains(text: str, end: int) -> bool:
    """Whether what follows says that what was before is a telephone number."""
    return _AFTER.match(text, end) is not None


def end_of_phone(text: str, end: int) -> int:
    """Where it ends, its extension included."""
    extension = _EXTENSION.match(text, end)
    return extension.end() if extension else end


def _is_international(digits: str, form: str) -> bool:
    return 8 <= len(digits) <= 15 and digits[0] != "0" and _COUNTRY_CODES.match(digits) is not None and "/" not in form
