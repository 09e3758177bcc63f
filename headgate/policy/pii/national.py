"""Identity, tax and social security numbers that are written in digits alone, by country.

Counted are those whose notation or check digits leave little doubt; the others (`WEAK`: one check digit in nine to
thirteen digits that may be anything) only where a word beside them says so. Sources: the issuing authorities'
descriptions, as the European Commission's TIN algorithms and the national registers publish them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from headgate.policy.pii.checksums import (
    is_date,
    is_ddmmyy,
    is_yymmdd,
    luhn,
    mod_11_10,
    verhoeff,
    weighted,
)

Check = Callable[[str], bool]

_ADVERTISED_SSN = ("078051120", "219099999")


def is_us_ssn(d: str) -> bool:
    """US: area 001 to 899 without 666, group and serial not 0; no check digit."""
    return "000" != d[:3] != "666" and d[0] != "9" and d[3:5] != "00" and d[5:] != "0000" and d not in _ADVERTISED_SSN


def is_us_itin(d: str) -> bool:
    """US, for taxpayers without the above: begins with 9, and its fourth and fifth digits are of certain ranges."""
    group = int(d[3:5])
    return d[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99)


def is_ca_sin(d: str) -> bool:
    return d[0] not in "08" and len(set(d)) > 1 and luhn(d)


def is_au_tfn(d: str) -> bool:
    return weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def is_au_medicare(d: str) -> bool:
    return "2" <= d[0] <= "6" and weighted(d, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(d[8])


def is_uk_nhs(d: str) -> bool:
    return weighted(d, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0 and len(set(d)) > 1


def is_aadhaar(d: str) -> bool:
    """India."""
    return d[0] >= "2" and d != d[::-1] and verhoeff(d)


def is_de_tax_id(d: str) -> bool:
    """Germany: of the first ten digits exactly one is there twice or three times, all others at most once."""
    counts = sorted(d[:10].count(digit) for digit in set(d[:10]))
    return d[0] != "0" and counts[-1] in (2, 3) and counts[-2] == 1 and mod_11_10(d)


def is_pesel(d: str) -> bool:
    """Poland; the month tells the century."""
    in_century = is_date(int(d[:2]), int(d[2:4]) % 20, int(d[4:6]))
    return in_century and weighted(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def is_tckn(d: str) -> bool:
    """Turkey: two check digits."""
    odd, even = sum(map(int, d[0:9:2])), sum(map(int, d[1:8:2]))
    return d[0] != "0" and (odd * 7 - even) % 10 == int(d[9]) and sum(map(int, d[:10])) % 10 == int(d[10])


def is_no_birth_number(d: str) -> bool:
    """Norway: two check digits; the day is raised by 40 for those who are not residents."""
    first, second = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
    day = int(d[:2])
    in_month = is_date(int(d[4:6]), int(d[2:4]), day - 40 if day > 40 else day)
    return in_month and weighted(d, first) % 11 == 0 and weighted(d, second) % 11 == 0


def is_se_personnummer(d: str) -> bool:
    """Sweden, in ten or twelve digits; the day is raised by 60 for those who are not residents."""
    if len(d) == 12 and d[:2] not in ("18", "19", "20"):
        return False
    short = d[-10:]
    day = int(short[4:6])
    return is_date(int(short[:2]), int(short[2:4]), day - 60 if day > 60 else day) and luhn(short)


def is_be_national_number(d: str) -> bool:
    """Belgium: mod 97, with a 2 before it for those born since 2000."""
    remainder = 97 - int(d[9:])
    dated = is_date(int(d[:2]), int(d[2:4]) % 20, int(d[4:6])) or d[2:6] == "0000"
    return dated and (int(d[:9]) % 97 == remainder or int("2" + d[:9]) % 97 == remainder)


def is_fr_nir(d: str) -> bool:
    """France; Corsica's departments have a letter and are left out."""
    return d[0] in "123478" and int(d[3:5]) in {*range(1, 13), *range(20, 43)} and 97 - int(d[:13]) % 97 == int(d[13:])


def is_rodne_cislo(d: str) -> bool:
    """Czechia and Slovakia; women's months are raised by 50. Before 1954 without a check digit."""
    dated = is_date(int(d[:2]), int(d[2:4]) % 50 % 20, int(d[4:6]))
    return dated and (len(d) == 9 or int(d) % 11 == 0 or (int(d[:9]) % 11 == 10 and d[9] == "0"))


def is_ro_cnp(d: str) -> bool:
    """Romania."""
    control = weighted(d, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return d[0] in "12345678" and is_yymmdd(d[1:7]) and (1 if control == 10 else control) == int(d[12])


def is_jmbg(d: str) -> bool:
    """Slovenia and its neighbours."""
    control = 11 - weighted(d, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    dated = is_date(int(d[4:7]) % 100, int(d[2:4]), int(d[:2])) and d[4] in "09"
    return dated and control != 10 and control % 11 == int(d[12])


def is_baltic_code(d: str) -> bool:
    """Estonia and Lithuania."""
    control = weighted(d, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if control == 10:
        control = weighted(d, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return d[0] in "123456" and is_yymmdd(d[1:7]) and control == int(d[10])


def is_ch_ahv(d: str) -> bool:
    """Switzerland: an EAN-13 that begins with 756."""
    return d.startswith("756") and weighted(d, (1, 3) * 6 + (1,)) % 10 == 0


def is_at_svnr(d: str) -> bool:
    """Austria."""
    control = weighted(d[:3] + d[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return d[0] != "0" and int(d[6:8]) <= 13 and is_date(0, min(12, int(d[6:8])), int(d[4:6])) and control == int(d[3])


def is_cpf(d: str) -> bool:
    """Brazil: two check digits."""
    first = weighted(d[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(d[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(set(d)) > 1 and first == int(d[9]) and second == int(d[10])


def is_kr_rrn(d: str) -> bool:
    """South Korea; those given since October 2020 have no check digit."""
    return is_yymmdd(d) and d[6] in "12345678"


def is_checked_kr_rrn(d: str) -> bool:
    """South Korea, with the check digit; foreigners' is two higher."""
    control = (11 - weighted(d, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return is_kr_rrn(d) and int(d[12]) in (control, (control + 2) % 10)


def is_za_id(d: str) -> bool:
    """South Africa."""
    return is_yymmdd(d) and d[10] in "012" and luhn(d)


def is_thai_id(d: str) -> bool:
    return d[0] != "0" and (11 - weighted(d[:12], range(13, 1, -1)) % 11) % 10 == int(d[12])


def is_snils(d: str) -> bool:
    """Russia: two check digits."""
    return int(d[:3]) > 1 and weighted(d[:9], range(9, 0, -1)) % 101 % 100 == int(d[9:])


def is_ru_inn(d: str) -> bool:
    """Russia, of persons: two check digits."""
    first = weighted(d, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted(d, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return d[:2] != "00" and first == int(d[10]) and second == int(d[11])


def is_emirates_id(d: str) -> bool:
    """United Arab Emirates."""
    return d.startswith("784") and d[3:5] in ("19", "20") and luhn(d)


def is_nl_bsn(d: str) -> bool:
    """The Netherlands."""
    return (weighted(d, (9, 8, 7, 6, 5, 4, 3, 2)) - int(d[8])) % 11 == 0


def is_pt_nif(d: str) -> bool:
    """Portugal."""
    return (11 - weighted(d[:8], range(9, 1, -1)) % 11) % 11 % 10 == int(d[8])


def is_bg_egn(d: str) -> bool:
    """Bulgaria; the month tells the century."""
    dated = is_date(int(d[:2]), int(d[2:4]) % 20, int(d[4:6]))
    return dated and weighted(d, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(d[9])


def is_my_number(d: str) -> bool:
    """Japan."""
    remainder = weighted(d[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if remainder <= 1 else 11 - remainder) == int(d[11])


def _is_gr_amka(d: str) -> bool:
    return is_ddmmyy(d) and luhn(d)


def _is_dated(d: str) -> bool:
    return is_yymmdd(d) or is_ddmmyy(d)


_FORMS: Mapping[str, Sequence[Check]] = {
    "11": (is_pesel, is_tckn, is_no_birth_number, is_be_national_number, is_baltic_code, is_cpf, is_de_tax_id,
           is_snils, _is_gr_amka),
    "13": (is_ro_cnp, is_jmbg, is_za_id, is_checked_kr_rrn, is_ch_ahv),
    "12": (is_se_personnummer, is_ru_inn),
    "10": (is_se_personnummer,),
    "15": (is_fr_nir, is_emirates_id),
    "3-2-4": (is_us_ssn, is_us_itin),
    "3 2 4": (is_us_ssn, is_us_itin),
    "3.2.4": (is_us_ssn,),
    "3-3-3": (is_ca_sin,),
    "3 3 3": (is_ca_sin,),
    "3 3 4": (is_uk_nhs,),
    "4 5 1": (is_au_medicare,),
    "4 4 4": (is_aadhaar,),
    "4-4-4": (is_aadhaar,),
    "2 3 3 3": (is_de_tax_id,),
    "6 5": (is_no_birth_number,),
    "6-4": (is_se_personnummer, is_ddmmyy),  # Denmark's has had no check digit since 2007
    "8-4": (is_se_personnummer,),
    "2.2.2-3.2": (is_be_national_number,),
    "1 2 2 2 3 3 2": (is_fr_nir,),
    "6/3": (is_rodne_cislo,),
    "6/4": (is_rodne_cislo,),
    "6-5": (is_ddmmyy,),  # Latvia
    "3.4.4.2": (is_ch_ahv,),
    "4 6": (is_at_svnr,),
    "3.3.3-2": (is_cpf,),
    "6-7": (is_kr_rrn,),
    "1-4-5-2-1": (is_thai_id,),
    "1 4 5 2 1": (is_thai_id,),
    "3-3-3 2": (is_snils,),
    "3-4-7-1": (is_emirates_id,),
    "6-2-4": (is_yymmdd,),  # Malaysia
}  # fmt: skip
WEAK: Mapping[int, Sequence[Check]] = {
    9: (is_us_ssn, is_us_itin, is_ca_sin, is_au_tfn, is_nl_bsn, is_pt_nif, luhn),  # the last is Israel's
    10: (is_au_medicare, is_uk_nhs, is_at_svnr, is_bg_egn, _is_dated),
    11: (mod_11_10,),  # Croatia's, and Germany's of before 2015
    12: (is_aadhaar, is_my_number),
    13: (is_thai_id,),
    16: (lambda d: is_date(0, int(d[8:10]), int(d[6:8]) % 40),),  # Indonesia
}
_WORDS = (
    r"ssn|social (?:security|insurance)|sin|nas|num[eé]ro d.assurance sociale|itin|tfn"
    r"|tax(?:payer)? ?(?:id|number|file)|tin|medicare|nhs|aadhaa?r|uidai|steuer\W?(?:id|nummer|identifikation\w*)"
    r"|id\W?nr|oib|bsn|burgerservicenummer"
    r"|nif|cpf|egn|egnu|svnr|sozialversicherung\w*|my ?number|nik|ktp|teudat zehut|cpr|insurance (?:no|number)"
    r"|(?:national|personal) (?:id|identity|identification|insurance)|identity (?:card|number|code)"
    r"|id (?:card|number|no)|personnummer|pesel|cnp|jmbg|dni|c[eé]dula|[\w-]*ausweis\w*|nin|svn|kimlik|tckn"
)
ANNOUNCED = re.compile(rf"\b(?:{_WORDS})\b[^0-9\n]{{0,24}}$", re.IGNORECASE)
LOOK_BACK = 48
PAPERS = re.compile(
    r"\b(?:passports?|passeport|[\w-]*pass(?:nummer|\W?nr)|reisepass|pasaporte|passaporto|passaporte|travel document"
    r"|driv\w+|licen[cs]e|f[uü]hrerschein\w*|fahrerlaubnis|permis de conduire|patente|identity card|id card"
    r"|carta d.identit[aà]|[\w-]*ausweis\w*|krankenkasse|kvnr|egk\W?nummer|여권\w*|voter id)\b[^0-9\n]{0,24}$",
    re.IGNORECASE,
)

LONGEST_PAPER = 14  # digits of a passport or licence


def checks_of(form: str) -> Sequence[Check]:
    """What digits written so may be without a word beside them."""
    return _FORMS.get(form, ())


def weak_checks_of(length: int) -> Sequence[Check]:
    """What so many digits may be if a word beside them says so."""
    return WEAK.get(length, ())
