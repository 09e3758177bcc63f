"""Whatever is in the file: it is read, or refused with lines. Nothing else ever happens."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.config.load import parse
from headgate.config.problems import line_of, report
from headgate.errors import ConfigInvalid

EXAMPLE = (Path(__file__).parents[2] / "headgate.example.yaml").read_text(encoding="utf-8")
LINES = [line.split("  #")[0].rstrip() for line in EXAMPLE.split("\n") if line.strip() and not line.startswith("#")]
SECRET = "hg-s3cr3t-that-nobody-may-see"
ODD = st.sampled_from(
    [
        "null", "~", "''", "-1", "0", "1e999", ".nan", "1_0", "0x1f", "yes", "off", "[]", "{}", "[[]]", "{a: 1}",
        "*x", "&x y", "&x [*x]", "!!int 5", "!x y", "<<: 1", "? a", "- a", "a: b: c", "'", '"', "|", ">", "%", "@",
        "${S}", "'${S}'", "${", "${file:/}", "${S:-", "$${", "\t", "\x00", "\x85", "\u2028", "\ufeff", "\U0001f4a5",
        "2026-01-01", "1:30", "hg-", "http://[", "http://a:b@c:0/", "../..", "é", "-", "---", "...", "=", "<<",
        "99999999999999999999999", "1e-99", "free", "sim", "large", "*",
    ]
)  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The example file after a few edits: a line lost, doubled, moved, shifted, or with something odd in it."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "shift", "value", "insert", "cut"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "shift":
                lines[at] = " " * draw(st.integers(0, 5)) + lines[at].lstrip()
            case "value":
                lines[at] = lines[at].split(":")[0] + ": " + draw(ODD)
            case "insert":
                column = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:column] + draw(ODD | st.text(max_size=5)) + lines[at][column:]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return "\n".join(lines) + "\n"


def read_or_refuse(content: bytes) -> None:
    lines = len(re.split("[\n\r\x85\u2028\u2029]", content.decode("utf-8", "replace")))
    try:
        problems = parse(content, "f.yaml", {"S": SECRET}).notes
    except ConfigInvalid as invalid:
        problems = invalid.problems
        assert problems and SECRET not in str(invalid)
    for problem in problems:
        assert 1 <= problem.line <= lines, problem
        assert problem.column >= 1 and problem.message
        assert line_of(problem).startswith(f"f.yaml:{problem.line}:{problem.column}: ")
    assert SECRET not in report(problems)


@settings(max_examples=300)
@given(mutations())
def test_an_edited_example(text: str) -> None:
    read_or_refuse(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_bytes(content: bytes) -> None:
    read_or_refuse(content)


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(["[", "]", "{", "}", ": ", ", ", "- ", "\n", "  ", "a", "&a ", "*a", "<<", '"', "#", "? "])
    )
)
def test_the_signs_of_yaml(signs: list[str]) -> None:
    read_or_refuse("".join(signs).encode())
