"""Values of the wrong type: what was expected, what was found, where, and how to write it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.config.reading import BASE, config, errors, marked

PORT = "expected a whole number from 0 to 65535, found"
DIGITS = "write digits only, e.g. 10_000"
NO_UNIT = "write a number without a unit, e.g. 0.5"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("port: many", f'{PORT} the text "many"; {DIGITS}'),
        ("port: 70000", f"{PORT} 70000"),
        ('port: "8080"', f'{PORT} the text "8080"; remove the quotes'),
        ("port: 80.5", f"{PORT} the number 80.5; {DIGITS}"),
        ("port: 010", f"{PORT} the number 010; {DIGITS}"),
        ("port:", f"{PORT} nothing; {DIGITS}"),
        ("port: [1]", f"{PORT} a list; {DIGITS}"),
        ("port: {a: 1}", f"{PORT} a block; {DIGITS}"),
        ("drain_seconds: 30s", f'expected a number of at least 0, found the text "30s"; {NO_UNIT}'),
        ("drain_seconds: -1", "expected a number of at least 0, found -1"),
        ("drain_seconds: .inf", f'expected a number of at least 0, found the text ".inf"; {NO_UNIT}'),
        ("drain_seconds: 1e999", f"expected a number of at least 0, found the number 1e999; {NO_UNIT}"),
        ("receive_seconds: 0", "expected a number above 0, found 0"),
        ("max_in_flight: 99999999999999999999",
         f"expected a whole number of at least 1, found the number 99999999999999999999; {DIGITS}"),
        ("host: 8080", "expected text, found the number 8080; put it in quotes if it is meant as text"),
        ("host: yes", 'expected text, found the truth value "yes"; put it in quotes if it is meant as text'),
        ("host:", "expected text, found nothing; give it or remove the line"),
        ("authentication: none", 'unknown value "none"; choices: off, required'),
        ("on_disconnect: cansel", 'unknown value "cansel"; did you mean "cancel"?'),
        ("trusted_proxies: 10.0.0.1", "expected a list of texts, found a single value; "
         "write [a, b], or one per line with a dash"),
        ("log: info", "expected a block {level: ..., format: ..., requests: ...}, found a single value"),
    ],
)  # fmt: skip
def test_a_wrong_value(setting: str, said: str) -> None:
    key = setting.split(":")[0]
    (line,) = errors(f"server:\n  {setting}\n")
    place, _, message = line.partition(f" server.{key}: ")
    assert message == said
    assert place.startswith("f.yaml:2:")


def test_where_a_word_or_a_block_may_stand_both_are_named() -> None:
    model = "models: {a: {price: 0.15, deployments: [{provider: sim, model: x}]}}\n"
    (line,) = errors(BASE + model)
    assert line.endswith('models.a.price: unknown value "0.15"; write free or a block {input: ...}')
    (line,) = errors("tiers: {free: {models: ['*'], on_exceed: degrade}}\n")
    assert line.endswith('on_exceed: unknown value "degrade"; write reject or {degrade: text}')


def test_the_column_is_that_of_the_value() -> None:
    text, place = marked("server: {host: localhost, port: »x}\n")
    (line,) = errors(text)
    assert line.startswith(f"f.yaml:{place}: server.port:")


def test_an_unknown_key_has_the_nearest_valid_one_or_all() -> None:
    assert errors("servr: {}\nserver:\n  max_inflight: 1\nstore: memory\n") == [
        'f.yaml:1:1: servr: unknown key "servr"; did you mean "server"?',
        'f.yaml:3:3: server.max_inflight: unknown key "max_inflight"; did you mean "max_in_flight"?',
    ]
    (line,) = errors("providers:\n  sim: {kind: sim, sim: {faults: {zzz: 1}}}\n")
    assert line == (
        'f.yaml:2:35: providers.sim.sim.faults.zzz: unknown key "zzz"; valid keys: cut, empty, hang_before, '
        "hang_between, malformed, overloaded, rate_limited, retry_after_seconds, server_error"
    )


def test_a_missing_key_is_told_at_its_block() -> None:
    assert errors("providers:\n  openai:\n    base_url: http://x/v1\n")[0] == (
        "f.yaml:2:3: providers.openai.kind: missing; "
        "add kind: anthropic or azure or bedrock or gemini or openai or sim or vertex"
    )
    assert errors("models:\n  a:\n    deployments:\n      - model: x\n")[0] == (
        "f.yaml:4:9: models.a.deployments[0].provider: missing; add provider: text"
    )


def test_a_whole_file_of_the_wrong_shape() -> None:
    assert errors("- a\n- b\n") == [
        "f.yaml:1:1: expected a block {server: ..., store: ..., database: ...}, found a list"
    ]
    assert errors("just words\n")[0].startswith("f.yaml:1:1: expected a block {server: ")


def test_names_with_dots_are_written_so_that_they_can_be_found() -> None:
    found = errors("models:\n  gpt-4.1: {deployments: [], retries: x}\n  small: {deployments: []}\n")
    assert [line.split(" ")[1] for line in found] == [
        'models["gpt-4.1"].deployments:',
        'models["gpt-4.1"].retries:',
        "models.small.deployments:",
    ]


def test_many_errors_are_told_in_the_order_of_the_file() -> None:
    found = errors("queue: [x]\nserver:\n  port: a\n  hots: b\n  log: {level: c}\nstor: d\n")
    assert [line.split(":")[1] for line in found] == ["1", "3", "4", "5", "6"]


def test_words_that_yaml_reads_as_truth_values_are_words_where_words_are_asked_for() -> None:
    server = config("server: {authentication: off, metrics: {access: off}, log: {requests: off}}\n").server
    assert (server.authentication, server.metrics.access, server.log.requests) == ("off", "off", "off")
    assert config("alerts: [{on: [budget], webhook: http://x/}]\n").alerts[0].on == ["budget"]
    assert config("server: {log: {prompts: yes}}\n").server.log.prompts is True


def test_numbers_may_be_grouped_and_blocks_left_empty() -> None:
    loaded = config("server:\n  max_body_bytes: 10_000_000\n  log:\n  trusted_proxies:\nproviders:\n")
    assert loaded.server.max_body_bytes == 10_000_000
    assert loaded.providers == {}


def priced(price: str) -> str:
    return f"{BASE}models:\n  a: {{price: {price}, deployments: [{{provider: sim, model: x}}]}}\n"


def test_prices_are_exact() -> None:
    text = priced("{input: 0.15, output: 0.60, cached_input: 0.075000, cache_write: 1e-3, reasoning: 1_000.10}")
    price = config(text).models["a"].price
    assert not isinstance(price, str) and price is not None
    assert (price.input, price.cached_input, price.cache_write) == (Decimal("0.15"), Decimal("0.075"), Decimal("0.001"))
    assert price.reasoning == Decimal("1000.1")


@pytest.mark.parametrize("price", ["-1", "0.0000001", "cheap", "1e99", ".nan", "2_000_000_000", "$1"])
def test_a_price_that_is_none(price: str) -> None:
    text, place = marked(priced(f"{{input: »{price}}}"))
    (line,) = errors(text)
    amount = "expected an amount of USD, not negative, with at most 6 decimals"
    assert line.startswith(f"f.yaml:{place}: models.a.price.input: {amount}, found")


def test_free_or_a_block_but_nothing_else() -> None:
    text, place = marked(priced("»fre"))
    assert errors(text) == [f'f.yaml:{place}: models.a.price: unknown value "fre"; did you mean "free"?']
    text, place = marked(priced("»[1]"))
    assert errors(text) == [f"f.yaml:{place}: models.a.price: expected free or a block {{input: ...}}, found a list"]


def test_on_exceed_is_a_word_or_one_key() -> None:
    text = BASE.replace('{models: ["*"]}', '{models: ["*"], on_exceed: {degrad: x}}')
    assert errors(text)[0].endswith('unknown key "degrad"; did you mean "degrade"?')


def test_an_empty_file_is_the_defaults() -> None:
    assert config("").server.port == 8080
    assert config("# nothing\n").server.port == 8080


def test_a_number_or_a_word() -> None:
    assert config("").jobs.concurrency == config("jobs: {concurrency: auto}\n").jobs.concurrency == "auto"
    assert config("jobs: {concurrency: 12}\n").jobs.concurrency == 12
    assert config('jobs: {concurrency: "${N}"}\n', {"N": "7"}).jobs.concurrency == 7
    assert config('jobs: {concurrency: "${N}"}\n', {"N": "auto"}).jobs.concurrency == "auto"
    (said,) = errors("jobs: {concurrency: many}\n")
    assert 'expected a whole number of at least 1, found the text "many"' in said
