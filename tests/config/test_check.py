"""What must hold across the whole configuration. The mark » stands where the error is expected to be told."""

from __future__ import annotations

import pytest

from headgate.config import availability
from headgate.types import Severity
from tests.config.reading import BASE, config, errors, marked, read

A = "models:\n  a: {deployments: [{provider: openai, model: gpt-4o}]}\n"


def sim(name: str, more: str = "") -> str:
    return f"  {name}: {{deployments: [{{provider: sim, model: x}}]{more}}}\n"


def refused(text: str) -> list[str]:
    """What is wrong with marked lines below BASE; the position is checked and cut off."""
    clean, place = marked(BASE + text)
    found = errors(clean)
    assert {line.split(": ")[0] for line in found} == {f"f.yaml:{place}"}
    return [line.split(": ", 1)[1] for line in found]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "models:\n  a: {deployments: [{provider: »opnai, model: gpt-4o}]}\n",
            'models.a.deployments[0].provider: there is no provider "opnai"; did you mean "openai"?',
        ),
        (
            A + "  b:\n    deployments: [{provider: openai, model: gpt-4o}]\n    fallback: [a, »zz]\n",
            'models.b.fallback[1]: there is no model "zz"; models: a, b',
        ),
        (A + "routers:\n  auto: {from: [a, »zz]}\n", 'routers.auto.from[1]: there is no model "zz"; models: a'),
        (A + "routers:\n  »a: {from: [a]}\n", "routers.a: a model has the same name; rename one of them"),
        (
            A.replace("]}", "], fallback: [»a]}"),
            "models.a.fallback[0]: a model cannot be its own fallback; remove it; retries are set by retries",
        ),
        (
            "models:\n  a: {deployments: »[]}\n",
            "models.a.deployments: a model needs a deployment; add {provider: ..., model: ...}",
        ),
        (
            "models:\n  a: {deployments: »[{provider: openai, model: gpt-4o, weight: 0}]}\n",
            "models.a.deployments: all weights are 0; give at least one a weight above 0",
        ),
        (
            "models:\n  a:\n    deployments:\n      - {provider: sim, model: x}\n      - »{provider: sim, model: x}\n",
            'models.a.deployments[1].name: the deployment name "sim/x" is taken by models.a.deployments[0]; '
            "give one of them another name: ...",
        ),
        (
            "models:\n  a:\n    deployments:\n      - »{provider: openai, model: llama-9}\n",
            "models.a.deployments[0].price: no price: the packaged list of 2026-08-01 does not have "
            '"llama-9"; add price: {input: .., output: ..} (USD per million tokens), or price: free',
        ),
    ],
)
def test_a_name_or_price_that_leads_nowhere(text: str, said: str) -> None:
    assert refused(text) == [said]


def test_what_only_follows_from_a_mistake_is_not_told() -> None:
    provider = 'providers:\n  a: {kind: openai, base_url: "http://h/v1", api_keys: ["${NOT_THERE}"]}\n'
    (line,) = errors(provider)
    assert "api_keys[0]: the environment variable NOT_THERE is not set" in line
    (line,) = errors("providers: {a: {kind: opnai}}\n")
    assert 'did you mean "openai"?' in line
    (line,) = errors(BASE + "models: {a: {deployments: [{provider: sim, model: x}]}}\nproviders: {sim: {kind: sim}}\n")
    assert 'the key "providers" is here twice' in line


def test_dangling_names_of_tiers() -> None:
    found = errors(
        "tiers:\n"
        "  pro: {models: [smal, auto, '*'], on_exceed: {degrade: zzz}}\n"
        "tenants:\n"
        "  acme:\n"
        "    tier: prro\n"
        "    keys: [{key: hg-0123456789abcdef, tier: zzz}]\n"
        "routers:\n"
        "  auto: {from: [small]}\n"
        "providers: {sim: {kind: sim}}\n"
        "models:\n"
        "  small: {deployments: [{provider: sim, model: x}]}\n"
    )
    assert found == [
        'f.yaml:2:18: tiers.pro.models[0]: there is no model "smal"; did you mean "small"?',
        'f.yaml:2:57: tiers.pro.on_exceed.degrade: there is no model "zzz"; models: small',
        'f.yaml:5:11: tenants.acme.tier: there is no tier "prro"; did you mean "pro"?',
        'f.yaml:6:45: tenants.acme.keys[0].tier: there is no tier "zzz"; tiers: pro',
    ]


def test_fallbacks_that_go_in_a_circle_are_told_once() -> None:
    circle = sim("a", ", fallback: [b]") + sim("b", ", fallback: [c]") + sim("c", ", fallback: [d, »b]") + sim("d")
    assert refused("models:\n" + circle) == [
        "models.c.fallback[1]: fallbacks go in a circle: b -> c -> b; remove one of these fallbacks"
    ]


def test_a_deployment_name_may_be_shared_by_models_but_not_by_different_upstreams() -> None:
    assert errors(BASE + "models:\n" + sim("a") + sim("b")) == []
    (line,) = refused("models:\n" + sim("a") + "  b: {deployments: [{provider: sim, model: y, name: »sim/x}]}\n")
    assert line.startswith('models.b.deployments[0].name: the deployment name "sim/x" is taken by')


def test_a_fallback_never_serves_simulated_text_for_a_real_model() -> None:
    assert refused(A.replace("]}", "], fallback: [»s]}") + sim("s")) == [
        'models.a.fallback[0]: "s" is simulated, and this model is real; '
        "remove it: a fallback must never quietly serve simulated text"
    ]
    (line,) = refused("models:\n  a: {deployments: [{provider: openai, model: o3}, »{provider: sim, model: x}]}\n")
    assert line.startswith("models.a.deployments[1]: a simulated deployment beside real ones")
    assert errors(BASE + "models:\n" + sim("s", ", fallback: [t]") + sim("t")) == []


def test_prices_come_from_the_deployment_the_model_or_the_list() -> None:
    one = "{provider: openai, model: unheard-of%s}"
    for model in (
        f"{{price: free, deployments: [{one % ''}]}}",
        f"{{deployments: [{one % ', price: {input: 1}'}]}}",
        "{deployments: [{provider: openai, model: gpt-4o-2024-08-06}]}",
    ):
        assert errors(f"{BASE}models: {{a: {model}}}\n") == []


def test_one_mistake_is_told_once() -> None:
    """A broken price is not a missing price too, a broken block does not make its name unknown."""
    (line,) = refused("models:\n  a: {price: {input: »x}, deployments: [{provider: openai, model: llama-9}]}\n")
    assert line.startswith("models.a.price.input: expected an amount")
    (line,) = refused("models:\n  a: »nothing\n" + sim("b", ", fallback: [a]"))
    assert line.startswith("models.a: expected a block")


URL = "not an http or https URL; write e.g. https://host.example/v1"


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (
            "»p: {kind: openai, api_key: x}",
            "base_url: missing; add e.g. base_url: https://api.openai.com/v1",
        ),
        ("p: {kind: openai, base_url: »ftp://x, api_key: x}", f"base_url: {URL}"),
        ("p: {kind: openai, base_url: »'http://x:99999', api_key: x}", f"base_url: {URL}"),
        (
            "p: {kind: openai, base_url: »'http://x/v1/chat/completions', api_key: x}",
            "base_url: contains the path of a request; end it at the version, e.g. /v1",
        ),
        (
            "»p: {kind: openai, base_url: 'http://x/v1'}",
            'api_key: missing; add api_key: "${NAME}", or api_key: none for a server that asks for none',
        ),
        (
            "p: {kind: openai, base_url: 'http://x/v1', api_key: »a, api_keys: [b]}",
            "api_key: api_key and api_keys are both set; keep one of them",
        ),
        (
            "p: {kind: openai, base_url: 'http://x/v1', api_keys: [b, »'a b']}",
            "api_keys[1]: empty, or with characters that no key has; check the variable or file",
        ),
        ("»p: {kind: vertex}", "project: missing; add project: NAME, or an api_key of Vertex AI"),
        (
            "p: {kind: vertex, project: p, location: »a/b}",
            "location: no name of a project or region; write e.g. location: europe-west4",
        ),
        (
            "»p: {kind: bedrock, base_url: 'http://x'}",
            "region: missing, or no name of a region; write e.g. region: us-east-1",
        ),
        (
            "p: {kind: bedrock, region: »us east 1}",
            "region: missing, or no name of a region; write e.g. region: us-east-1",
        ),
        ("p: {kind: sim, proxy: »localhost}", f"proxy: {URL}"),
        (
            "p: {kind: sim, headers: {'x y': »z}}",
            'headers["x y"]: cannot be sent as a header; use one line of plain text',
        ),
        (
            "p: {kind: sim, sim: {»faults: {cut: 0.6, empty: 0.6}}}",
            "sim.faults: the shares add up to more than 1; lower some of them",
        ),
        (
            "p: {kind: sim, sim: {itl_seconds: {median: 2, p99: »1}}}",
            "sim.itl_seconds.p99: below the median; the 99th percentile is at least the median",
        ),
    ],
)
def test_a_provider_that_cannot_work(provider: str, said: str) -> None:
    text, place = marked(f"providers:\n  {provider}\n")
    assert errors(text) == [f"f.yaml:{place}: providers.p.{said}"]


def test_a_provider_whose_deployments_have_endpoints_needs_no_url() -> None:
    text = """
        providers: {p: {kind: openai, api_key: none}}
        models: {a: {price: free, deployments: [{provider: p, model: m, endpoints: ["http://one/v1", "two"]}]}}
        """
    (line,) = errors(text)
    assert line.startswith("f.yaml:3:94: models.a.deployments[0].endpoints[1]: not an http or https URL")


def test_both_ways_to_write_provider_keys_end_in_one_list() -> None:
    providers = config(
        """
        providers:
          a: {kind: openai, base_url: "http://x/v1", api_key: one}
          b: {kind: openai, base_url: "http://x/v1", api_keys: [one, two]}
          c: {kind: openai, base_url: "http://x/v1", api_key: none}
        """
    ).providers
    assert [provider.api_keys for provider in providers.values()] == [["one"], ["one", "two"], []]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sk-0123456789abcdef", "a virtual key begins with hg- and has no spaces or special characters"),
        ("hg-0123456789 abcdef", "a virtual key begins with hg- and has no spaces or special characters"),
        ("hg-012345678éabcdef", "a virtual key begins with hg- and has no spaces or special characters"),
        ("hg-0123456789ab", "a virtual key has at least 16 characters"),
    ],
)
def test_virtual_keys_have_a_form(key: str, said: str) -> None:
    (line,) = errors(BASE.replace("{tier: pro}", f'{{tier: pro, keys: [{{key: "{key}"}}]}}'))
    assert line.startswith(f"f.yaml:7:34: tenants.acme.keys[0].key: {said}; make one with: ")
    assert key not in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://me:secret@h/v1", "has a user name, a query or a fragment"),
        ("http://h/v1?key=secret", "has a user name, a query or a fragment"),
        ("http://h/v1#secret", "has a user name, a query or a fragment"),
        ("http://hö/v1", "is not plain ASCII"),
    ],
)
def test_an_endpoint_has_no_secret_that_logs_would_name(url: str, said: str) -> None:
    (line,) = errors(BASE.replace("http://127.0.0.1:9100/v1", url))
    assert line.startswith(f"f.yaml:2:36: providers.openai.base_url: {said}; ") and "secret" not in line
    deployment = f'{{provider: openai, model: gpt-4o, endpoints: ["{url}"]}}'
    (line,) = errors(f"{BASE}models:\n  a: {{deployments: [{deployment}]}}\n")
    assert f"models.a.deployments[0].endpoints[0]: {said}; " in line and "secret" not in line


def test_a_key_belongs_to_one_user() -> None:
    key = "hg-acme-alice-0001"
    keys = f"{{tier: pro, keys: [{{key: {key}}}, {{user: bob, key: »{key}}}]}}"
    text, place = marked(BASE.replace("{tier: pro}", keys))
    assert errors(text) == [
        f"f.yaml:{place}: tenants.acme.keys[1].key: the same key as tenants.acme.keys[0].key; "
        "every key belongs to one tenant and user"
    ]


def test_a_time_zone_must_exist() -> None:
    (line,) = errors(BASE.replace("{tier: pro}", "{tier: pro, timezone: Europe/Berlln}"))
    assert line == (
        'f.yaml:7:31: tenants.acme.timezone: there is no time zone "Europe/Berlln"; did you mean "Europe/Berlin"?'
    )
    for name in ("", "/etc/passwd", "../x", "a" * 5000, "Europe"):
        assert len(errors(BASE.replace("{tier: pro}", f"{{tier: pro, timezone: '{name}'}}"))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store: »redi\n", "store: not one of the kinds there are; choose memory or redis://"),
        ("store: »redis://:6379/0\n", "store: no host or no port; write e.g. redis://"),
        ("store: »redis://h:99999/0\n", "store: the port is no number between 1 and 65535; write e.g. redis://"),
        ("store: »rediss://h/first\n", "store: what follows the host is not the number of a database; write"),
        ("database: »postgres://u@h/d\n", "database: not one of the kinds there are; choose sqlite or postgresql"),
        ("queue: »sqlite\n", "queue: not one of the kinds there are; choose sql or redis://"),
        ("server: {trusted_proxies: [10.0.0.0/8, »x]}\n", "server.trusted_proxies[1]: not an address or network"),
        ("server: {cors_origins: ['*', »https://x.org/]}\n", "server.cors_origins[1]: not the origin of a web page"),
        ("server: {tracing: {otlp_endpoint: »x}}\n", f"server.tracing.otlp_endpoint: {URL}"),
        ("alerts: [{on: [], webhook: »x}]\n", f"alerts[0].webhook: {URL}"),
    ],
)
def test_addresses(text: str, said: str) -> None:
    clean, place = marked(text)
    (line,) = errors(clean)
    assert line.startswith(f"f.yaml:{place}: {said}")


def said(text: str, severity: Severity) -> list[str]:
    return [f"{note.line} {note.where}: {note.message}" for note in read(text).notes if note.severity is severity]


def test_warnings_do_not_keep_a_file_from_being_used() -> None:
    open_house = "server: {authentication: off, host: 0.0.0.0}\n" + BASE + A
    assert said(open_house, Severity.WARNING) == [
        "1 server.authentication: everybody who reaches this host may spend your money"
    ]
    assert said("server: {authentication: off, host: 127.0.0.2}\n" + BASE + A, Severity.WARNING) == []
    weak = BASE.replace("{tier: pro}", "{tier: pro, keys: [{key: hg-aaaaaaaaaaaaaaa1}]}") + A
    assert said(weak, Severity.WARNING) == ["7 tenants.acme.keys[0].key: this key is easy to guess"]
    careless = BASE.replace("{kind: sim}", "{kind: sim, verify_tls: false}") + A
    assert len(said(careless, Severity.WARNING)) == 1
    assert said("", Severity.WARNING) == ["1 models: there are no models: every request will be refused"]


def test_what_has_no_effect_yet_is_accepted_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(availability._PATTERNS, ("queue",), "queues")
    found = said(BASE + "queue: redis://127.0.0.1:6379/0\n" + A, Severity.NOTE)
    assert [note.split(":")[0] for note in found] == ["8 queue"]
    assert "(no queues yet)" in found[0]


def test_a_good_file_has_nothing_to_say() -> None:
    assert read(BASE + A).notes == ()


@pytest.mark.parametrize(("url", "notes"), [("https://api.example", 1), ("https://api.example/v1", 0)])
def test_a_url_without_a_version_is_noted(url: str, notes: int) -> None:
    found = read(BASE.replace("http://127.0.0.1:9100/v1", url) + A).notes
    assert [note.severity for note in found if "base_url" in note.where] == [Severity.NOTE] * notes
