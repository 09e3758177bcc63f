"""The block `alerts`. The mark » stands where the problem is expected to be told."""

from __future__ import annotations

import pytest

from headgate.config.alert_schema import AlertConfig
from headgate.types import Severity
from tests.config.reading import BASE, config, errors, marked, read

MAIL = "to: ops@example.com, from: headgate@example.com, host: smtp.example.com"
HOOK = "webhook: 'https://hooks.example.com/x'"
SECRET = "secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def alert(text: str) -> AlertConfig:
    (found,) = config(f"alerts: [{{on: [budget], {text}}}]\n").alerts
    return found


def warnings(text: str) -> list[str]:
    return [
        f"{note.line}:{note.column}: {note.where}: {note.message}"
        for note in read(BASE + text).notes
        if note.severity is Severity.WARNING and note.where.startswith("alerts")
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("»{on: [budget]}", "alerts[0]: no channel: nobody would be told; add webhook: "),
        (
            "{on: [budget], webhook: 'http://x/', slack: »'http://x/'}",
            "alerts[0].slack: a second channel beside webhook; give each channel an entry of its own",
        ),
        (f"{{on: [budget], slack: 'http://x/', »email: {{{MAIL}}}}}", "alerts[0].email: a second channel beside slack"),
        ("{on: [budget], webhook: »hooks.example.com}", "alerts[0].webhook: not an http or https URL; write e.g. "),
        ("{on: [budget], webhook: »''}", "alerts[0].webhook: not an http or https URL"),
        ("{on: [budget], slack: »'ftp://x'}", "alerts[0].slack: not an http or https URL"),
        ("{on: [budget], slack: »'https://u:p@x/'}", "alerts[0].slack: has a user name, or characters"),
        ("{on: [budget], slack: »'https://x/ü'}", "alerts[0].slack: has a user name, or characters"),
        (f"{{on: [budget], {HOOK}, secret: »whsec_}}", "alerts[0].secret: empty; make one with: python3"),
        (
            "{on: [budget], slack: 'http://x/', secret: »whsec_test}",
            "alerts[0].secret: signs calls of a webhook, and this is slack; remove it",
        ),
        ("{on: [spend], webhook: 'http://x/'}".replace("spend", "»spend"), 'alerts[0].on[0]: unknown value "spend"'),
        ("{on: [budget], »email: {from: a@b, host: c}}", "alerts[0].email.to: missing"),
        ("{on: [budget], email: {to: »ops, from: a@b, host: c}}", "alerts[0].email.to: no e-mail address; write e.g."),
        ("{on: [budget], email: {to: [a@b, »'x, y@z'], from: a@b, host: c}}", "alerts[0].email.to[1]: no e-mail addr"),
        ("{on: [budget], email: {to: »[], from: a@b, host: c}}", "alerts[0].email.to: empty: nobody would be told"),
        ("{on: [budget], email: {to: a@b, from: »'x <y', host: c}}", "alerts[0].email.from: no e-mail address"),
        ("{on: [budget], email: {to: a@b, from: a@b, host: »'smtp://c/d'}}", "alerts[0].email.host: no name of a host"),
        (f"{{on: [budget], email: {{{MAIL}, port: »0}}}}", "alerts[0].email.port: no port that can be called"),
        (f"{{on: [budget], »email: {{{MAIL}, username: me}}}}", "alerts[0].email.password: missing; add it, or remove"),
        (f"{{on: [budget], »email: {{{MAIL}, password: x}}}}", "alerts[0].email.username: missing; add it, or remove"),
    ],
)
def test_an_entry_that_would_tell_nobody(entry: str, said: str) -> None:
    clean, place = marked(f"{BASE}alerts:\n  - {entry}\n")
    (line,) = errors(clean)
    assert line.startswith(f"f.yaml:{place}: {said}")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{on: [budget], webhook: »'https://x/'}", "alerts[0].webhook: no secret: the receiver cannot know whom"),
        (f"{{on: [budget], {HOOK}, secret: »whsec_not-base-64}}", "alerts[0].secret: no base64 after whsec_"),
        (f"{{on: »[], {HOOK}, {SECRET}}}", "alerts[0].on: empty: nobody is told of anything"),
        (
            f"{{on: [budget], email: {{{MAIL}, username: me, password: x, starttls: »false}}}}",
            "alerts[0].email.starttls: anybody between here and the mail server can read the password",
        ),
    ],
)
def test_an_entry_that_should_be_written_otherwise(entry: str, said: str) -> None:
    text = f"alerts:\n  - {entry}\n"
    clean, place = marked(BASE + text)
    (line,) = warnings(clean.removeprefix(BASE))
    assert line.startswith(f"{place}: {said}")


@pytest.mark.parametrize(
    "entry",
    [
        f"{HOOK}, {SECRET}",
        f"{HOOK}, secret: whsec_test",
        f"{HOOK}, secret: dGVzdA",
        "slack: 'https://hooks.slack.example/services/T0/B0/xyz?thread=1'",
        f"email: {{{MAIL}}}",
        "email: {to: [a@b, Ops <ops@example.com>], from: Headgate <h@example.com>, host: 10.0.0.1, port: 25, "
        "starttls: false}",
        f"email: {{{MAIL}, port: 465, username: me, password: x, starttls: false}}",
    ],
)
def test_what_can_work_is_left_alone(entry: str) -> None:
    assert read(f"{BASE}alerts: [{{on: [budget], {entry}}}]\n").notes == read(BASE).notes


def test_mail_goes_to_one_or_to_several() -> None:
    assert (mail := alert(f"email: {{{MAIL}}}").email) is not None
    assert (mail.to, mail.from_, mail.port, mail.starttls) == ("ops@example.com", "headgate@example.com", 587, True)
    assert (mail := alert("email: {to: [a@b, c@d], from: a@b, host: h}").email) is not None
    assert mail.to == ["a@b", "c@d"]


def test_a_url_or_secret_from_outside_is_never_told() -> None:
    text = "alerts: [{on: [budget], webhook: '${URL}', secret: '${S}', slack: '${URL}'}]\n"
    told = "".join(errors(BASE + text, {"URL": "x y z", "S": "whsec_$$$"}))
    assert "x y z" not in told and "$$$" not in told
