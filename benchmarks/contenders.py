"""The gateways that `benchmarks.gateways` knows: how each is found, configured, started and spoken to.

Every one forwards to the mock upstream, writes what it keeps into a directory of its own and listens on one port.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHAT = "/v1/chat/completions"
LITELLM_KEY = "sk-bench-0000000000000001"
HEADGATE_KEY = "hg-bench-0000000000000001"


class NotInstalled(Exception):
    """This gateway cannot take part here; the message says what is missing."""


@dataclass(frozen=True)
class Site:
    """What a gateway is given: where programs are, its own empty directory, its port and that of the upstream."""

    peers: Path
    directory: Path
    port: int
    upstream_port: int
    python: str

    @property
    def upstream(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}"

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Contender:
    """A gateway ready to be started."""

    version: str
    command: tuple[str, ...]
    headers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


NGINX = """\
daemon off;
user {user} {group};
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 1024; }}
http {{
    access_log access.log combined;
    client_body_temp_path temporary/body;
    proxy_temp_path temporary/proxy;
    fastcgi_temp_path temporary/fastcgi;
    uwsgi_temp_path temporary/uwsgi;
    scgi_temp_path temporary/scgi;
    upstream mock {{ server 127.0.0.1:{upstream_port}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx(site: Site) -> Contender:
    unpacked = site.peers / "nginx/usr/sbin/nginx"
    program = str(unpacked) if unpacked.exists() else shutil.which("nginx")
    if program is None:
        raise NotInstalled(f"there is no nginx on the path and none in {site.peers}")
    (site.directory / "temporary").mkdir()
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    text = NGINX.format(user=user, group=group, port=site.port, upstream_port=site.upstream_port)
    config = site.write("nginx.conf", text)
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    command = (program, "-p", str(site.directory), "-e", "error.log", "-c", config)
    return Contender(told.strip().rpartition("/")[2], command)


LITELLM = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}/v1", api_key: sk-mock}}
general_settings: {{master_key: {key}}}
"""


def litellm(site: Site) -> Contender:
    programs = site.peers / "litellm/bin"
    if not (programs / "litellm").exists():
        raise NotInstalled(f"there is no LiteLLM in {site.peers / 'litellm'}")
    config = site.write("litellm.yaml", LITELLM.format(upstream=site.upstream, key=LITELLM_KEY))
    ask = "import importlib.metadata as m; print(m.version('litellm'))"
    version = subprocess.run([programs / "python", "-c", ask], capture_output=True, text=True, check=True).stdout
    where = ("--host", "127.0.0.1", "--port", str(site.port))
    return Contender(
        version.strip(),
        (str(programs / "litellm"), "--config", config, *where, "--num_workers", "1"),
        (f"authorization: Bearer {LITELLM_KEY}",),
        # As its production guide has it, and with its own copy of the price list instead of a download at the start.
        {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )


def portkey(site: Site) -> Contender:
    package = site.peers / "portkey/node_modules/@portkey-ai/gateway"
    node = shutil.which("node")
    if node is None:
        raise NotInstalled("Portkey needs node, which is not on the path")
    if not package.exists():
        raise NotInstalled(f"there is no @portkey-ai/gateway in {site.peers / 'portkey'}")
    version = json.loads((package / "package.json").read_text())["version"]
    return Contender(
        version,
        (node, str(package / "build/start-server.js"), f"--port={site.port}", "--headless"),
        ("authorization: Bearer sk-mock", "x-portkey-provider: openai", f"x-portkey-custom-host: {site.upstream}/v1"),
        {"NODE_ENV": "production"},
    )


HEADGATE = """\
server: {{data_dir: "{data}"}}
providers: {{mock: {{kind: openai, base_url: "{upstream}/v1", api_key: none}}}}
models:
  gpt-4o-mini:
    price: {{input: 0.15, output: 0.60}}
    deployments: [{{provider: mock, model: gpt-4o-mini, api: chat}}]
tiers: {{bench: {{models: ["*"], features: {{tools: true, images: true}}}}}}
tenants: {{bench: {{tier: bench, keys: [{{key: {key}, user: load}}]}}}}
"""


def headgate(site: Site) -> Contender:
    found = subprocess.run([site.python, "-c", "import headgate.cli"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise NotInstalled(f"{site.python} cannot import headgate: {found.stderr.strip().rpartition(chr(10))[2]}")
    text = HEADGATE.format(data=site.directory / "data", upstream=site.upstream, key=HEADGATE_KEY)
    config = site.write("headgate.yaml", text)
    return Contender(
        headgate_version(),
        (site.python, "-m", "headgate", "serve", "--config", config, "--port", str(site.port)),
        (f"authorization: Bearer {HEADGATE_KEY}",),
        {"HEADGATE_ADMIN_KEY": "bench-admin-key"},
    )


def headgate_version() -> str:
    """The commit, when there is one: between releases the version number does not tell builds apart."""
    ask = ["git", "rev-parse", "--short", "HEAD"]
    told = subprocess.run(ask, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return told.stdout.strip() or "unknown"


CONTENDERS: dict[str, Callable[[Site], Contender]] = {
    "nginx": nginx,
    "headgate": headgate,
    "LiteLLM": litellm,
    "Portkey": portkey,
}
