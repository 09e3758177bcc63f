"""Numbers of persons in which letters stand among the digits, and those of passports and driving licences.

What has no check digit, nor a notation of its own, counts only where a word beside it says what it is. Sources: as in
`national.py`; for travel documents ICAO 9303.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from headgate.policy.pii.checksums import is_date, is_ddmmyy, is_yymmdd, mod_11_2, weighted
from headgate.policy.pii.findings import Finding, PiiClass
from headgate.policy.pii.national import ANNOUNCED, LOOK_BACK, PAPERS

_TOKEN = re.compile(r"(?<![A-Za-z0-9_])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{7,20}+(?![A-Za-z0-9_])")
_SPAIN = "TRWAGMYFPDXBNJZSQVHLCKE"
_FINLAND = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_SINGAPORE = {"S": "JZIHGFEDCBA", "T": "GFEDCBAJZIH", "F": "XWUTRQPNMLK", "G": "RQPNMLKXWUT", "M": "XWUTRQPNJLK"}
_ITALY_ODD = dict(zip(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
     2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
    strict=True,
))  # fmt: skip
_TAIWAN = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))
_MEXICO = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"


def _es_nif(t: str) -> bool:
    number = t[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _SPAIN[int(number) % 23] == t[-1]


def _fi_hetu(t: str) -> bool:
    return is_ddmmyy(t[:6]) and _FINLAND[int(t[:6] + t[7:10]) % 31] == t[10]


def _it_codice_fiscale(t: str) -> bool:
    total = sum(_ITALY_ODD[one] for one in t[0:15:2])
    total += sum(int(one) if one.isdigit() else ord(one) - 65 for one in t[1:15:2])
    return chr(65 + total % 26) == t[15]


def _sg_nric(t: str) -> bool:
    place = weighted(t[1:8], (2, 7, 6, 5, 4, 3, 2)) + (3 if t[0] == "M" else 0)
    return _SINGAPORE[t[0]][place % 11] == t[8]


def _tw_id(t: str) -> bool:
    return weighted(str(_TAIWAN[t[0]]) + t[1:], (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def _ie_pps(t: str) -> bool:
    total = weighted(t[:7], (8, 7, 6, 5, 4, 3, 2)) + (9 * (ord(t[8]) - 64) if len(t) > 8 and t[8] != "W" else 0)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == t[7]


def _de_pension(t: str) -> bool:
    digits = t[:8] + f"{ord(t[8]) - 64:02d}" + t[9:]
    products = [int(one) * weight for one, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=False)]
    day = int(t[2:4])
    dated = is_date(int(t[6:8]), int(t[4:6]), day - 50 if day > 50 else day)
    return dated and sum(product // 10 + product % 10 for product in products) % 10 == int(t[11])


def _mx_curp(t: str) -> bool:
    total = sum(_MEXICO.index(one) * weight for one, weight in zip(t[:17], range(18, 1, -1), strict=True))
    return is_yymmdd(t[4:10]) and (10 - total % 10) % 10 == int(t[17])


def _cn_id(t: str) -> bool:
    return is_date(int(t[8:10]), int(t[10:12]), int(t[12:14])) and t[6:8] in ("18", "19", "20") and mod_11_2(t)


def _uk_licence(t: str) -> bool:
    month = int(t[6:8]) % 50
    return 1 <= month <= 12 and 1 <= int(t[8:10]) <= 31


def _anything(t: str) -> bool:
    return True


_NOT_NINO = ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")
_STRONG: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (  # on capitals, without separators
    (re.compile(r"[XYZ]?\d{7}[A-HJ-NP-TV-Z]|\d{8}[A-HJ-NP-TV-Z]"), _es_nif),
    (re.compile(r"[A-Z]{6}\d\d[ABCDEHLMPRST]\d\d[A-Z]\d{3}[A-Z]"), _it_codice_fiscale),
    (re.compile(r"[STFGM]\d{7}[A-Z]"), _sg_nric),
    (re.compile(r"[A-Z][1289]\d{8}"), _tw_id),
    (re.compile(r"\d{7}[A-W][A-IW]?"), _ie_pps),
    (re.compile(r"\d{8}[A-Z]\d{3}"), _de_pension),
    (re.compile(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d"), _mx_curp),
    (re.compile(r"\d{17}[0-9X]"), _cn_id),
    (re.compile(r"[A-Z]{3}[PCHABGJLFTK][A-Z]\d{4}[A-Z]"), _anything),  # India's tax number
    (re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"), lambda t: t[:2] not in _NOT_NINO),  # UK
    (re.compile(r"[A-Z]{1,5}9{0,4}\d{6}[A-Z][A-Z9]\d?[A-Z0-9]{2,3}"), lambda t: len(t) == 16 and _uk_licence(t)),
    (re.compile(r"[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d"
                r"[AC-HJKMNP-RT-Y]{2}\d\d"), _anything),  # US Medicare
)  # fmt: skip
_SPACED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?P<nino>[A-Za-z]{2} \d\d \d\d \d\d [A-Da-d])"
    r"|(?P<hetu>\d{6}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y])"
    r"|(?P<nif>(?:[XYZxyz]\d{7}|\d{7,8})-[A-Za-z])"
    r"|(?P<rut>\d{1,2}\.\d{3}\.\d{3}-[0-9Kk])"
    r"|(?P<hkid>[A-Za-z]{1,2}\d{6}\([0-9Aa]\))"
    r"|(?P<mbi>[1-9][A-Za-z][0-9A-Za-z]\d-[A-Za-z][0-9A-Za-z]\d-[A-Za-z]{2}\d\d)"
    r")(?![A-Za-z0-9])"
)
_MBI_LETTERS = re.compile(r"[^SLOIBZ]+")
FEWEST_DIGITS = 5


def documents(text: str, start: int, end: int) -> Iterator[Finding]:
    """The numbers of persons with letters, passports and licences in an area of a text, without separators."""
    for match in _TOKEN.finditer(text, start, end):
        if _is_document(text, match.start(), match[0].upper()):
            yield Finding(PiiClass.NATIONAL_ID, match.start(), match.end())


def spaced_documents(text: str, start: int, end: int) -> Iterator[Finding]:
    """Those that are written with separators."""
    for match in _SPACED.finditer(text, start, end):
        if _is_spaced_document(match):
            yield Finding(PiiClass.NATIONAL_ID, match.start(), match.end())


def _is_document(text: str, start: int, token: str) -> bool:
    has_letters = not token.isdigit()
    if has_letters or len(token) == 18:
        for pattern, check in _STRONG:
            if pattern.fullmatch(token) and check(token):
                return True
    digits = sum([one.isdigit() for one in token])
    if digits < FEWEST_DIGITS or len(token) > 16:
        return False
    before = text[max(0, start - LOOK_BACK) : start]
    return PAPERS.search(before) is not None or (has_letters and ANNOUNCED.search(before) is not None)


def _is_spaced_document(match: re.Match[str]) -> bool:
    kind, value = match.lastgroup, match[0].upper()
    if kind == "nino":
        return value[:2] not in _NOT_NINO and value[0] not in "DFIQUV" and value[1] not in "DFIOQUV"
    if kind == "hetu":
        return _fi_hetu(value)
    if kind == "nif":
        return _es_nif(value.replace("-", ""))
    if kind == "rut":
        return _is_rut(value)
    if kind == "hkid":
        return _is_hkid(value)
    return _MBI_LETTERS.fullmatch(value) is not None


def _is_rut(value: str) -> bool:
    """Chile: mod 11, K for ten."""
    digits, control = value.replace(".", "").split("-")
    total = sum(int(digit) * (2 + place % 6) for place, digit in enumerate(reversed(digits)))
    return "0K987654321"[total % 11] == control


def _is_hkid(value: str) -> bool:
    """Hong Kong: mod 11, A for ten; a missing first letter counts 36."""
    body, control = value[:-3], value[-2]
    values = [36] * (8 - len(body)) + [ord(one) - 55 if one.isalpha() else int(one) for one in body]
    total = sum(one * weight for one, weight in zip(values, range(9, 1, -1), strict=True))
    return (total + int(control, 16)) % 11 == 0
