"""Files and folders that a configuration names: what is missing or is another thing is told at the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from tests.config.reading import BASE, errors, marked

MODEL = "models:\n  a: {deployments: [{provider: openai, model: gpt-4o}]}\n"
PROVIDER = "  other: {kind: openai, base_url: 'https://h/v1', api_key: none, ca_file: »FILE}\n"
VERTEX = "  other: {kind: vertex, project: p, credentials_file: »FILE}\n"
WEBHOOKS = "jobs: {webhooks: {ca_file: »FILE}}\n"
ROUTER = "routers: {auto: {from: [a], difficulty_model: »FILE}}\n"
ACCOUNT = '{"type": "service_account", "client_email": "a@b", "private_key": "-", "token_uri": "https://t"}'
CERTIFICATES = "of a file with certificates in PEM"
SAID = {
    PROVIDER: ("providers.other.ca_file", CERTIFICATES),
    VERTEX: ("providers.other.credentials_file", "of a service account's key in JSON"),
    WEBHOOKS: ("jobs.webhooks.ca_file", CERTIFICATES),
    ROUTER: ("routers.auto.difficulty_model", "of a file that headgate route train has written"),
}


def whole(line: str) -> str:
    is_provider = line.startswith("  ")
    base = BASE.replace("tiers:", f"{line}tiers:") if is_provider else BASE
    return base + MODEL + ("" if is_provider else line)


def told(line: str, file: Path | str) -> list[str]:
    """What is wrong with the file that a line names; where it is told is checked and cut off."""
    clean, place = marked(whole(line))
    found = errors(clean.replace("FILE", str(file)))
    assert {one.split(": ")[0] for one in found} <= {f"f.yaml:{place}"}
    return [one.split(": ", 1)[1] for one in found]


def usable(line: str, folder: Path) -> Path:
    file = folder / "file"
    if line in (PROVIDER, WEBHOOKS):
        trustme.CA().cert_pem.write_to_path(str(file))
    else:
        file.write_text(ACCOUNT if line == VERTEX else "{}")
    return file


@pytest.mark.parametrize("line", SAID)
def test_a_file_that_is_there_is_fine(tmp_path: Path, line: str) -> None:
    assert told(line, usable(line, tmp_path)) == []


@pytest.mark.parametrize("line", SAID)
def test_a_file_that_is_missing(tmp_path: Path, line: str) -> None:
    where, what = SAID[line]
    (message,) = told(line, file := tmp_path / "nowhere")
    assert message.startswith(f'{where}: "{file}" cannot be used: No such file or directory; give the path {what}')
    (message,) = told(line, "nowhere.pem")
    assert message.endswith("a relative path starts from the working directory")


@pytest.mark.parametrize("line", SAID)
def test_what_is_no_file(tmp_path: Path, line: str) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    for other in (tmp_path, pipe):
        (message,) = told(line, other)
        assert f'"{other}" cannot be used: it is no file; ' in message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (PROVIDER, "there is no certificate in it"),
        (WEBHOOKS, "there is no certificate in it"),
        (VERTEX, "it is not what it should be"),
        (ROUTER, "it is not what it should be"),
    ],
)
@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_a_file_of_another_kind(tmp_path: Path, line: str, reason: str, content: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    (message,) = told(line, file)
    assert f"cannot be used: {reason}; " in message and "hello" not in message


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = usable(ROUTER, tmp_path)

    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # tests may run as root, who may read everything
    (message,) = told(ROUTER, file)
    assert "cannot be used: Permission denied; give the path" in message


def test_an_account_that_lacks_something(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text('{"type": "authorized_user", "private_key": "hush"}')
    (message,) = told(VERTEX, file)
    assert "cannot be used: it has no client_email, token_uri; " in message and "hush" not in message


def test_a_name_from_the_environment_is_not_printed(tmp_path: Path) -> None:
    (message,) = errors(whole(WEBHOOKS).replace("»FILE", "'${CA}'"), {"CA": str(tmp_path / "nowhere")})
    assert "jobs.webhooks.ca_file: the substituted value cannot be used: No such file" in message


@pytest.mark.parametrize(
    ("line", "where"),
    [("server: {data_dir: »FOLDER}\n", "server.data_dir"), ("embedder: {directory: »FOLDER}\n", "embedder.directory")],
)
def test_folders(tmp_path: Path, line: str, where: str) -> None:
    clean, place = marked(whole(line))
    (tmp_path / "file").write_text("x")
    for fine in (tmp_path, tmp_path / "made" / "later"):
        assert errors(clean.replace("FOLDER", str(fine))) == []
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        (message,) = errors(clean.replace("FOLDER", str(wrong)))
        assert message.startswith(f'f.yaml:{place}: {where}: "{wrong}" cannot be a folder: file is a file; give the')
