"""`headgate route`: a model of one's own, trained and evaluated."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from headgate.commands.route import route
from headgate.errors import FileInvalid


@pytest.fixture
def judgements(tmp_path: Path) -> str:
    """Long prompts are lost; another source that says the opposite."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": f"{source} {number} " + "more " * number, "weak": "small", "strong": "large", "source": source,
         "weak_outcome": "lose" if (number > 60) == (source == "ours") else "tie"}
        for source in ("ours", "odd") for number in range(120)
    ]  # fmt: skip
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(route, arguments, catch_exceptions=False)


def test_train_and_evaluate(judgements: str, tmp_path: Path) -> None:
    model = str(tmp_path / "model.json")
    trained = run("train", judgements, "--out", model, "--leave-out", "odd", "--no-embedding")
    assert trained.exit_code == 0 and "ours" in trained.stdout and "odd" not in trained.output
    assert "120 prompts are few" in trained.stderr
    answer = run("eval", judgements, "--model", model, "--no-embedding", "--json")
    ours, odd = (msgspec.json.decode(answer.output)["by_source"][name] for name in ("ours", "odd"))
    assert ours["apgr"] > 0.7 and ours["seen"] == 120 and odd["apgr"] < 0.3 and odd["seen"] == 0
    assert ours["low"] <= ours["apgr"] <= ours["high"] and ours["n"] == 120
    assert ours["length_only"] == pytest.approx(0.75, abs=0.02)


def test_for_people(judgements: str) -> None:
    shown = run("eval", judgements, "--no-embedding", "--curves", "--cross-validate", "prompts")
    assert "ours" in shown.output and "to the strong model" in shown.output and "(chance: 0.5)" in shown.output


def test_nothing_to_learn_from(judgements: str, tmp_path: Path) -> None:
    with pytest.raises(FileInvalid, match="nothing to learn from"):
        run("train", judgements, "--out", str(tmp_path / "m"), "--leave-out", "odd", "--leave-out", "ours")


def test_rows_without_a_prompt_are_left_out(judgements: str, tmp_path: Path) -> None:
    rows = Path(judgements).read_bytes()
    private = b'{"prompt": "", "weak": "small", "strong": "large", "weak_outcome": "tie", "source": "ours"}'
    path = tmp_path / "some.jsonl"
    path.write_bytes(rows + b"\n" + private)
    answer = run("eval", str(path), "--no-embedding", "--json")
    assert "1 rows without a prompt are left out." in answer.stderr
    assert msgspec.json.decode(answer.stdout)["by_source"]["ours"]["n"] == 120
    path.write_bytes(private)
    with pytest.raises(FileInvalid, match=r"No row of .* has a prompt"):
        run("eval", str(path), "--no-embedding")
