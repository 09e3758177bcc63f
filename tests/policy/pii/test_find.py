"""What is found in texts, class by class. In each case what stands between » and « is to be found, and nothing else."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.pii.find import find
from headgate.policy.pii.findings import Finding, PiiClass, without_overlaps
from tests.scale import scaled

MARKED = re.compile("»([^«]*)«")
LONG = scaled(400_000, 40_000)  # characters


def assert_found(pii_class: str, marked: str) -> None:
    text, expected = "", []
    position = 0
    for match in MARKED.finditer(marked):
        text += marked[position : match.start()]
        expected.append((len(text), len(text) + len(match[1])))
        text += match[1]
        position = match.end()
    text += marked[position:]
    assert [(one.start, one.end) for one in find(text) if one.pii_class == pii_class] == expected, text


@pytest.mark.parametrize(
    "marked",
    [
        "write to »ada.lovelace+notes@mail.example.org«, please",
        "<»ada@xn--bcher-kva.example«> or »j@q.co«",
        "'»o'neil@example.com«' and mailto:»bob@example.com«?subject=x",
        "»jürgen@müller.de«.",
        "clone git@github.com:team/project.git, pip install thing@1.2, @decorator, a@b, x@.com, user@localhost",
    ],
)
def test_email(marked: str) -> None:
    assert_found("email", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "card »4111 1111 1111 1111«, or »4111111111111111«, or »3782-822463-10005«",
        "first »5555555555554444« then »4012-8888-8888-1881«.",
        "not 4111 1111 1111 1112, not order 4111111111111111222233, not 8111111111111115",
        "in milliseconds 1748503543012",
    ],
)
def test_card(marked: str) -> None:
    assert_found("card", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "to »DE89 3704 0044 0532 0130 00« until Friday",
        "»GB29NWBK60161331926819«, »fr1420041010050500013M02606«, »MT84MALT011000012345MTLCAST001S«",
        "»NO93-8601-1117-947« A",
        "DE89 3704 0044 0532 0130 01 has a wrong digit, XX89 3704 0044 0532 0130 00 is no country",
        "DE89370400440532013000X goes on",
    ],
)
def test_iban(marked: str) -> None:
    assert_found("iban", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "ping »192.168.17.4«, then »10.0.0.0/8« and http://»172.16.0.9«:8080/x",
        "ssh »2001:db8::8a2e:370:7334«, [»fe80::1«]:22, »64:ff9b::192.0.2.33«",
        "at 12:34:56, ratio 1:2:3, std::vector, x[::2], a::b, 00:1A:2B:3C:4D:5E, 300.1.2.3",
        "before version 2.4.1.7, python >= 1.10.3.2",
    ],
)
def test_ip(marked: str) -> None:
    assert_found("ip", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "call »+49 30 901820«, »+1 (212) 555-0187 x12« or »(212) 555-0187«",
        "Tel.: »0171 2345678«, Fax »030/9018200«, »0033 1 42 68 53 00«, »01 42 68 53 00«",
        "»212-555-0187« or »212.555.0187«",
        "my number is »5550187«; his mobile: »79 123 45 67«",
        "»555 0187« office",
        "order 5550187 of 2024-11-28, 03/04/2024 10:45, 15,000 pieces, 1 000 000, 0-306-40615-2, 04/09/87 03/09/87",
        "call by 12.11.2026 or use 5.5.2024 and +99",
    ],
)
def test_phone(marked: str) -> None:
    assert_found("phone", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "SSN »219-09-9998« but not 219-09-9999, 000-12-3456, 666-12-3456 or 123-00-1234",
        "ITIN »912-70-1234«, and 046-454-286 begins with 0, as no SIN does",
        "»130-692-544« is a SIN",
        "there are 130-692-545 of them",
        "NINO »AB 12 34 56 C« or »ab123456c«, never GB123456A",
        "NHS number: »943 476 5919«",
        "DNI »12345678Z« y NIE »X1234567L«, no 12345678A",
        "codice fiscale »RSSMRA85T10A562S«, non RSSMRA85T10A562X",
        "Steuer-ID »86095742719«",
        "PESEL »44051401458«, T.C. »10000000146«, hetu »131052-308T«, personnummer »811228-9874«",
        "NIR »2 55 08 14 168 025 38«, rijksregister »85.07.30-033.28«, rodné číslo »736028/5163«",
        "CNP »1800101221144«, isikukood »37605030299«, AHV »756.9217.0769.85«",
        "BSN: »111222333«; NIF »123456789«; OIB »69435151530«",
        "CPF »111.444.777-35«, RUT »12.345.678-5«, CURP »BOXW310820HNERXN09«",
        "Aadhaar »2341 2341 2346«, PAN »ABCPE1234F«, NRIC »S1234567D«, RRN »900101-1234567«",
        "ID »11010519491231002X«, HKID »A123456(3)«, »A123456789« in Taiwan",
        "ID number »8001015009087«, SNILS »112-233-445 95«",
        "passport no. »C01X00T47«, driver's license number is »D1234567«, Führerschein: »B072RRE2I55«",
        "the id of the order is 111222333, part A1234567, sha 3f2a9b1c, isbn 9780306406157, 2024-01-01-2024",
    ],
)
def test_national_id(marked: str) -> None:
    assert_found("national_id", marked)


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "marked",
    [
        "use »sk-proj-a1B2c3D4e5F6g7H8i9J0« or »hg-acme-alice-0001«",
        "»ghp_16C7e42F292c6912E7710c838347Ae178B4a«, »AKIAIOSFODNN7EXAMPLE«, »xoxb-123456789012-abcdef«",
        "»AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY« and »glpat-1234567890abcdefghij«",
        "»eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N«",
        f"mine:\n»{PEM}«\nand so on",
        "cut off: »-----BEGIN PRIVATE KEY-----\nMIIEow and more«",
        "postgresql://app:»s3cr3t!pw«@db.internal/x, but http://user:password@host and http://host:8080/a@b are fine",
        "password: »hunter2!x« and PASSWORD='»correct-horse-7«'; my password is »abc12345«.",
        "aws_secret_access_key = »wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz12345678«",
        'api_key: "»9f86d081884c7d659a2feaa0«", Authorization: Bearer »abcdef0123456789abcdef«',
        "password: string; password = get_password(1); token = os.environ['TOKEN1']; api_key=${KEY_1}",
        "the key is 12 metres; the secret of 1984 is that tokens: 12000",
        "primary key: user_id, task-force-one-2-three, sk-learn",
    ],
)
def test_secret(marked: str) -> None:
    assert_found("secret", marked)


def test_what_belongs_to_two_classes_is_of_the_graver_one() -> None:
    assert [one.pii_class for one in find("redis://:p4ssw0rd@cache.example.com:6379")] == [PiiClass.SECRET]
    assert [one.pii_class for one in find("+4915112345678@sms.example.com")] == [PiiClass.EMAIL]
    texts = "phone 4111 1111 1111 1111"
    assert [one.pii_class for one in find(texts)] == [PiiClass.CARD]


def test_only_the_classes_that_are_asked_for() -> None:
    text = "ada@example.com, 192.168.17.4, password: hunter2x"
    assert [one.pii_class for one in find(text, {PiiClass.IP})] == [PiiClass.IP]
    assert find(text, frozenset()) == []


PROSE = "Please tell me what the author of this text thinks of rivers in 1984, and why there are 12 of them. "


@pytest.mark.parametrize(
    "text", ["", PROSE, "def f(x: int) -> int:\n    return x * 2  # 100 %\n", '{"a": [1, 2.5, -3e10]}']
)
def test_plain_texts_have_nothing(text: str) -> None:
    assert find(text * 20) == []


@pytest.mark.parametrize(
    "unit",
    [
        "1 ", "12 ", "00 ", "1.", "1-", "123-45-", "(1)", "+1 ", "4111 ", "12345678901 ", "0", "a@", "@a.a", "a.",
        "sk-", "eyJ", "eyJaaaaaaaaa.", "key:", "key=a", "password=", "://a:", "a:", "::", "1::", "1.2.3.4.", "GB56",
        "DE12 3456 ", "A1B2C3D4 ", "-----BEGIN PRIVATE KEY-----", "phone ", "\u0130", "a" * 64 + "@",
    ],
)  # fmt: skip
def test_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    """Eight times the text takes eight times as long, not sixty-four times; with room for a busy machine."""
    short, long = unit * (LONG // 8 // len(unit)), unit * (LONG // len(unit))
    find(short)
    quick = min(seconds(short) for _ in range(2))
    assert any(seconds(long) < max(0.03, 24 * quick) for _ in range(5))


def seconds(text: str) -> float:
    began = time.process_time()
    find(text)
    return time.process_time() - began


NOISE = st.text(alphabet="abc XYZ0123456789.-/()+@:=_\n\u00e9\u0130", max_size=80)


@given(NOISE, NOISE)
def test_findings_are_in_order_inside_the_text_and_apart(left: str, right: str) -> None:
    text = f"{left} ada@example.com {right}"
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
    assert any(
        text[one.start : one.end].endswith("ada@example.com") or "@" in text[one.start : one.end] for one in found
    )


@given(st.integers(min_value=0, max_value=10**15 - 1), st.sampled_from(["{}", "card {}.", "({})"]))
def test_a_card_is_found_whatever_its_digits(body: int, around: str) -> None:
    digits = f"4{body:014d}"[:15]
    total = sum(int(one) if place % 2 else sum(divmod(2 * int(one), 10)) for place, one in enumerate(digits))
    number = digits + str(-total % 10)
    assert [one.pii_class for one in find(around.format(number))] == [PiiClass.CARD]
    assert [one.pii_class for one in find(around.format(digits + str((1 - total) % 10)))] != [PiiClass.CARD]


@given(st.from_regex(r"[A-Z]{4}[0-9]{14}", fullmatch=True), st.booleans())
def test_an_iban_is_found_whatever_its_account(account: str, spaced: bool) -> None:
    rest = int("".join(str(int(one, 36)) for one in f"{account}GB00")) % 97
    iban = f"GB{98 - rest:02d}{account}"
    text = " ".join(iban[place : place + 4] for place in range(0, len(iban), 4)) if spaced else iban
    assert Finding(PiiClass.IBAN, 5, 5 + len(text)) in find(f"pay: {text}"[: 5 + len(text)])


@given(st.lists(st.tuples(st.sampled_from(PiiClass), st.integers(0, 40), st.integers(1, 20)), max_size=12))
def test_overlaps_are_resolved_for_the_graver_class(drawn: list[tuple[PiiClass, int, int]]) -> None:
    found = [Finding(pii_class, start, start + length) for pii_class, start, length in drawn]
    kept = without_overlaps(found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(kept))
    for secret in (one for one in found if one.pii_class is PiiClass.SECRET):
        assert any(
            one.pii_class is PiiClass.SECRET and one.start < secret.end and secret.start < one.end for one in kept
        )
