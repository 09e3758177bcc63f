"""Numbers of payment cards and of bank accounts (IBAN).

Sources: ISO/IEC 7812 (issuer ranges as the networks publish them), ISO 13616 and the SWIFT IBAN registry (lengths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.policy.pii.checksums import luhn, mod_97_10
from headgate.policy.pii.findings import Finding, PiiClass

_ISSUERS = re.compile(  # and how many digits follow
    r"4\d{12}(?:\d{3}){0,2}"  # Visa: 13, 16 or 19
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]\d{11,16}|[689]\d{12,17})"  # Diners Club
    r"|6(?:011\d{12,15}|4[4-9]\d{13,16}|5\d{14,17}|2\d{14,17})"  # Discover, UnionPay
    r"|35\d{14,17}|(?:2131|1800)\d{11}"  # JCB
    r"|220[0-4]\d{12,15}|9792\d{12}"  # Mir, Troy
    r"|(?:5[06-8]|6\d)\d{10,17}|0604\d{8,15}"  # Maestro, RuPay
    r"|1\d{14}"  # UATP
)
_CARD_FORM = re.compile(r"1[2-9]|4([ -])4\1(?:[456]|4\1[1-5])|4([ -])6\2[45]")
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d\d(?=[ -]?[A-Za-z0-9]{2})")
_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _LENGTHS.split()}


def is_card_form(form: str) -> bool:
    """Whether numbers of cards are written in such groups."""
    return _CARD_FORM.fullmatch(form) is not None


def is_card(digits: str) -> bool:
    """Whether digits are a number of a card: an issuer's range, its length, and the check digit."""
    return _ISSUERS.fullmatch(digits) is not None and luhn(digits)


def ibans(text: str, start: int, end: int) -> Iterator[Finding]:
    """The IBANs in an area of a text, written together or in groups."""
    for match in _IBAN_START.finditer(text, start, end):
        length = _IBAN_LENGTHS.get(match[1].upper())
        if length is not None and (beyond := _end_of(text, match.start(), length)):
            yield Finding(PiiClass.IBAN, match.start(), beyond)


def _end_of(text: str, start: int, length: int) -> int:
    """Where an IBAN of a length ends that begins there; 0: there is none."""
    read = text[start : start + 4]
    position, group = start + 4, 4
    while len(read) < length:
        step = text[position : position + 1]
        if step in (" ", "-") and group >= 2:  # one space or dash between groups
            group, position = 0, position + 1
            continue
        if not (step.isascii() and step.isalnum()):
            return 0
        read, group, position = read + step, group + 1, position + 1
    following = text[position : position + 1]
    if (following.isascii() and following.isalnum()) or not mod_97_10(read[4:] + read[:4]):
        return 0
    return position
