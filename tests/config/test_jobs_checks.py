"""Checks of the blocks `jobs` and `publish`."""

from __future__ import annotations

import pytest

from tests.config.reading import BASE, errors, read

MAIL = "from: headgate@example.com, host: smtp.example.com"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobs: {webhooks: {allow_networks: [10.1.0.0/33]}}", "no network"),
        ("jobs: {public_url: llm.example.com}", "not an http or https URL"),
        ("jobs: {mail: {from: headgate, host: smtp.example.com}}", "no e-mail address"),
        (f"jobs: {{mail: {{{MAIL}, username: me}}}}", "missing"),
        (f"jobs: {{mail: {{{MAIL}, port: 0}}}}", "no port"),
        ("publish: {usage: usage}", "no address of a topic"),
        ("jobs: {reply_to: ['https://example.com/answers']}", "reply_to[0]: no address of a topic"),
        ("jobs: {quota: {bytes: 0}}", "1"),
    ],
)
def test_what_could_not_work_is_an_error(text: str, words: str) -> None:
    (line,) = errors(BASE + text + "\n")
    assert words in line and text.split(":", 1)[0] in line


def test_what_works() -> None:
    blocks = f"mail: {{{MAIL}}}, webhooks: {{allow_networks: [10.0.0.1, 'fd00::/8']}}, quota: {{open_items: 5}}"
    blocks += ", reply_to: ['kafka://b/a-*', '*']"
    text = f"jobs: {{public_url: 'https://x.example', {blocks}}}\npublish: {{jobs: 'sqs://eu-west-1/queue'}}\n"
    assert errors(BASE + text) == []
    without = read(BASE + f"jobs: {{mail: {{{MAIL}}}}}\n").notes
    assert any("this machine's address" in note.message for note in without)
