"""Any input to any endpoint, made up by schemathesis from the OpenAPI document: no 500, no hang, no surprise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.running import ADMIN_KEY, Gateway, config_text, gateway

# Two of its checks are wrong here: a key that is revoked is still shown, and some values are refused for what they mean
# (a tenant that does not exist), which a schema cannot say.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,ignored_auth"
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("examples", [4, pytest.param(200, marks=pytest.mark.full)])
def test_the_api_is_as_the_document_says(tmp_path: Path, examples: int) -> None:
    with gateway(tmp_path, config=config_text()) as service:
        callers = explored(service, "^/v1/", "hg-acme-alice-0001", examples)
        operators = explored(service, "^/(admin|healthz|readyz|metrics|openapi)", ADMIN_KEY, examples)
        assert callers.returncode == 0, callers.stdout
        assert operators.returncode == 0, operators.stdout
        assert service.ask("GET", "/readyz")[0] == 200


def explored(service: Gateway, paths: str, key: str, examples: int) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{service.port}/openapi.json"),
        *("--include-path-regex", paths, "-H", f"Authorization: Bearer {key}", "--checks", CHECKS),
        *("--max-examples", str(examples), "--seed", "1", "--no-color", "--request-timeout", "20"),
    ]
    return subprocess.run(command, cwd=service.folder, capture_output=True, text=True, check=False)
