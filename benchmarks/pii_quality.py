"""How well personal data is found, by class: `python -m benchmarks.pii_quality FILE...`.

FILE: JSON lines, plain or .zst, each with a `text` and what is known of it:
- `spans`: [{"type", "start", "end"}, ...], every one that is there (as Presidio's synthetic sentences);
- `recognizer`, `expected_count`, `expected_spans`: what one recogniser of Presidio is expected to find, or not;
- nothing: texts as they come, of which is told how many have something found in them.

A labelled span is found when a finding of its class overlaps it; a finding is right when it overlaps a span of its
class.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headgate.policy.pii.find import find
from headgate.policy.pii.findings import PiiClass

SPAN_TYPES = {
    "EMAIL_ADDRESS": PiiClass.EMAIL,
    "PHONE_NUMBER": PiiClass.PHONE,
    "CREDIT_CARD": PiiClass.CARD,
    "IBAN_CODE": PiiClass.IBAN,
    "IP_ADDRESS": PiiClass.IP,
    "US_SSN": PiiClass.NATIONAL_ID,
    "US_DRIVER_LICENSE": PiiClass.NATIONAL_ID,
}
RECOGNISERS = {
    "email": PiiClass.EMAIL,
    "credit_card": PiiClass.CARD,
    "iban": PiiClass.IBAN,
    "ip": PiiClass.IP,
    **dict.fromkeys(("phone", "ph_mobile_number", "tr_phone_number"), PiiClass.PHONE),
    **dict.fromkeys(
        (
            "us_ssn", "us_itin", "ca_sin", "au_tfn", "au_medicare", "uk_nino", "uk_nhs", "es_nif", "es_nie", "pl_pesel",
            "fi_personal_identity_code", "se_personnummer", "de_tax_id", "de_social_security", "de_health_insurance",
            "de_id_card", "it_fiscal_code", "in_aadhaar", "in_pan", "kr_rrn", "kr_frn", "th_tnin", "tr_national_id",
            "za_id_number", "sg_fin", "us_mbi", "ng_nin", "us_passport", "uk_passport", "de_passport", "es_passport",
            "it_passport", "it_identity_card", "in_passport", "kr_passport", "us_driver_license", "uk_driving_licence",
            "it_driver_license", "de_fuehrerschein", "kr_driver_license", "in_voter",
        ),
        PiiClass.NATIONAL_ID,
    ),
}  # fmt: skip


class Tally:
    """Counts of one class."""

    def __init__(self) -> None:
        self.labelled = self.found = self.right = self.findings = 0

    def line(self, name: str) -> str:
        recall = f"{self.found / self.labelled:7.3f}" if self.labelled else "      -"
        precision = f"{self.right / self.findings:9.3f}" if self.findings else "        -"
        return f"{name:34} {self.labelled:9} {self.found:6} {recall} {self.findings:9} {self.right:6} {precision}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--errors", type=int, default=0, help="print so many mistakes of each class")
    options = parser.parse_args()
    for path in options.files:
        rows = list(read(path))
        print(f"\n{path.name}: {len(rows)} texts")
        if "spans" in rows[0]:
            report(judge_spans(rows, options.errors))
        elif "recognizer" in rows[0]:
            report(judge_cases(rows, options.errors))
        else:
            count(rows, options.errors)


def read(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The rows of a file."""
    if path.suffix == ".zst":
        content = subprocess.run(["zstd", "-dc", str(path)], check=True, capture_output=True).stdout.decode()
    else:
        content = path.read_text()
    for line in content.split("\n"):
        if line:
            yield json.loads(line)


def overlaps(start: int, end: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < other_end and other_start < end for other_start, other_end in spans)


def judge_spans(rows: Sequence[dict[str, Any]], errors: int) -> Mapping[str, Tally]:
    """Every span of a text is labelled: what is found elsewhere is wrong."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    shown: Counter[str] = Counter()
    for row in rows:
        text, found = row["text"], find(row["text"])
        labels = [(SPAN_TYPES.get(span["type"]), span["start"], span["end"], span["type"]) for span in row["spans"]]
        for pii_class, start, end, kind in labels:
            if pii_class is None:
                continue
            hit = overlaps(start, end, [(one.start, one.end) for one in found if one.pii_class is pii_class])
            for tally in (tallies[pii_class], tallies[f"{pii_class}: {kind}"]):
                tally.labelled += 1
                tally.found += hit
            if not hit:
                tell(f"missed {kind}", text, (start, end), shown, errors)
        for finding in found:
            hit = overlaps(
                finding.start, finding.end, [label[1:3] for label in labels if label[0] is finding.pii_class]
            )
            tallies[finding.pii_class].findings += 1
            tallies[finding.pii_class].right += hit
            if not hit:
                tell(f"wrong {finding.pii_class}", text, (finding.start, finding.end), shown, errors)
    return tallies


def judge_cases(rows: Sequence[dict[str, Any]], errors: int) -> Mapping[str, Tally]:
    """One class is labelled in each text."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    shown: Counter[str] = Counter()
    for row in rows:
        pii_class = RECOGNISERS.get(row["recognizer"])
        if pii_class is None:
            continue
        text = row["text"]
        found = [(one.start, one.end) for one in find(text) if one.pii_class is pii_class]
        spans = [(start, end) for start, end in row["expected_spans"] or []]
        hits = (
            sum(overlaps(start, end, found) for start, end in spans)
            if spans
            else min(len(found), row["expected_count"])
        )
        right = (
            sum(overlaps(start, end, spans) for start, end in found)
            if spans
            else min(len(found), row["expected_count"])
        )
        for tally in (tallies[pii_class], tallies[f"{pii_class}: {row['recognizer']}"]):
            tally.labelled += row["expected_count"]
            tally.found += hits
            tally.findings += len(found)
            tally.right += right
        if hits < row["expected_count"]:
            tell(f"missed {row['recognizer']}", text, (0, len(text)), shown, errors)
        if right < len(found):
            tell(f"wrong {row['recognizer']}", text, (0, len(text)), shown, errors)
    return tallies


def tell(what: str, text: str, span: tuple[int, int], shown: Counter[str], errors: int) -> None:
    """Print a mistake, and what is around it."""
    shown[what] += 1
    if shown[what] <= errors:
        print(
            f"  {what}: {text[max(0, span[0] - 30) : span[0]]!r} >{text[span[0] : span[1]]}< {text[span[1] :][:15]!r}"
        )


def report(tallies: Mapping[str, Tally]) -> None:
    """The table."""
    print(f"{'class':34} {'labelled':>9} {'found':>6} {'recall':>7} {'findings':>9} {'right':>6} {'precision':>9}")
    for name in sorted(tallies):
        print(tallies[name].line(name))


def count(rows: Sequence[dict[str, Any]], errors: int) -> None:
    """How many texts have something found in them, and what it costs to look."""
    shown: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    texts = [max((value for value in row.values() if isinstance(value, str)), key=len) for row in rows]
    before = time.perf_counter()
    found = [find(text) for text in texts]
    seconds = time.perf_counter() - before
    for text, findings in zip(texts, found, strict=True):
        flagged.update({one.pii_class for one in findings})
        for one in findings:
            tell(f"found {one.pii_class}", text, (one.start, one.end), shown, errors)
    characters = sum(map(len, texts))
    print(f"characters: {characters / len(texts):.0f} a text; time: {seconds / len(texts) * 1e6:.1f} us a text")
    for pii_class in PiiClass:
        print(f"{pii_class:34} in {flagged[pii_class]} texts, {flagged[pii_class] / len(texts):.2%}")


if __name__ == "__main__":
    main()
