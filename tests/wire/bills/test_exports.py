"""Exports: tables and JSON, the names that columns may have, and sentences about what is wrong."""

from __future__ import annotations

import pytest

from headgate.bills import StatementLine, Tokens
from headgate.errors import BillMalformed
from headgate.wire.bills.exports import read_export

DAY = 20_000  # 2024-10-04
OURS = b"""\
day,model,key,requests,input_tokens,cached_input_tokens,output_tokens,cost_usd,remark
2024-10-04,gpt-4o-mini,9f86d081,3,"300",20,90,0.000099,"a, b"

2024-10-05,gpt-4o-mini,,1,10,,10,0.1e-5,
"""
LINES = [
    StatementLine(DAY, "gpt-4o-mini", "9f86d081", 3, Tokens(300, 20, 0, 0, 90), 99_000_000),
    StatementLine(DAY + 1, "gpt-4o-mini", "", 1, Tokens(input=10, output=10), 1_000_000),
]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n\n"])
def test_a_table_is_read_whatever_separates_it(separator: str, start: bytes) -> None:
    text = OURS.decode().replace('"a, b"', "x").replace(",", separator)
    assert read_export(start + text.encode(), "bill.csv") == LINES
    assert read_export(start + text.replace("\n", "\r\n").encode(), "bill.csv") == LINES


def test_a_quoted_cell_may_have_the_separator() -> None:
    assert read_export(OURS, "bill.csv") == LINES


def test_openais_exports_are_read_as_they_are() -> None:
    usage = (
        b"start_time\tend_time\tstart_time_iso\tproject_id\tnum_model_requests\tapi_key_id\tmodel\tbatch\tinput_tokens"
        b"\toutput_tokens\tinput_cached_tokens\n"
        b"1728000000\t1728086400\t2024-10-04T00:00:00+00:00\tproj\t2\tkey_1\tgpt-5-mini\t\t100\t40\t10\n"
    )
    assert read_export(usage, "usage.tsv") == [
        StatementLine(DAY, "gpt-5-mini", "key_1", 2, Tokens(100, 10, 0, 0, 40), None)
    ]
    costs = (
        b"start_time,start_time_iso,amount_value,amount_currency,line_item\n"
        b'1728000000,2024-10-04T00:00:00+00:00,0.5617712500000000,usd,"gpt-5-mini-2025-08-07, cached input"\n'
        b"1728000000,2024-10-04T00:00:00+00:00,0.01,usd,web search tool calls\n"
        b"1728086400,2024-10-05T00:00:00+00:00,,,\n"
    )
    assert read_export(costs, "costs.csv") == [
        StatementLine(DAY, "gpt-5-mini-2025-08-07", cost_picousd=561_771_250_000),
        StatementLine(DAY, "", cost_picousd=10**10, other="web search tool calls"),
    ]


def test_rows_as_json_are_read_exactly() -> None:
    rows = (
        b'[{"day": "2024-10-04", "model": "gpt-4o-mini", "key": "9f86d081", "requests": 3, "input_tokens": 300,'
        b' "cached_input_tokens": 20, "output_tokens": 90, "cost_usd": 0.000099, "tags": ["not", "read"]},'
        b' {"day": "2024-10-05", "model": "gpt-4o-mini", "key": null, "requests": 1, "input_tokens": 10,'
        b' "output_tokens": 10, "cost_usd": "0.000001"}]'
    )
    assert read_export(rows, "bill.json") == LINES
    assert read_export(b'{"lines": ' + rows + b"}", "bill.json") == LINES
    exact = b'[{"day": "2024-10-04", "model": "m", "cost_usd": 12345.678901234567}]'
    assert read_export(exact, "bill.json")[0].cost_picousd == 12_345_678_901_234_567


def test_saved_pages_of_both_apis_are_read() -> None:
    openai = (
        b'{"object": "page", "data": [{"object": "bucket", "start_time": 1728000000, "results": []}, {"object":'
        b' "bucket", "start_time": 1728000000, "results": [{"object": "organization.costs.result", "amount":'
        b' {"value": 0.06, "currency": "usd"}, "line_item": "priority | gpt-5.2, output, long context"}]}],'
        b' "has_more": true, "next_page": "x"}'
    )
    assert read_export(openai, "page.json") == [StatementLine(DAY, "gpt-5.2", cost_picousd=6 * 10**10)]
    anthropic = (
        b'[{"data": [{"starting_at": "2024-10-04T00:00:00Z", "results": [{"currency": "USD", "amount": "123.78912",'
        b' "model": "claude-sonnet-4-20250514", "cost_type": "tokens"}]}]},'
        b' {"data": [{"starting_at": "2024-10-04T00:00:00Z", "results": [{"uncached_input_tokens": 1500,'
        b' "cache_read_input_tokens": 200, "cache_creation": {"ephemeral_1h_input_tokens": 1000,'
        b' "ephemeral_5m_input_tokens": 500}, "output_tokens": 500, "model": "claude-sonnet-4-20250514"}]}]}]'
    )
    assert read_export(anthropic, "pages.json") == [
        StatementLine(DAY, "claude-sonnet-4-20250514", cost_picousd=1_237_891_200_000),
        StatementLine(DAY, "claude-sonnet-4-20250514", tokens=Tokens(3200, 200, 500, 1000, 500)),
    ]


def test_saved_pages_keep_the_keys_that_they_tell() -> None:
    usage = (
        b'{"data": [{"start_time": 1728000000, "results": [{"input_tokens": 5, "num_model_requests": 1, "model": "m",'
        b' "api_key_id": "key_1"}, {"input_tokens": 6, "num_model_requests": 1, "model": "m", "api_key_id": null}]}]}'
    )
    assert [line.key for line in read_export(usage, "page.json")] == ["key_1", "none"]


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "bill is empty"),
        (b"model,cost_usd\nx,1\n", "no column day; its columns: model, cost_usd"),
        (b"day,cost_usd\n2024-10-04,1\n", "no column model"),
        (b"day,model,input_tokens\n", r"no column cost_usd \(or input_tokens and output_tokens\)"),
        (b"a;b\n1;2\n", "no column day and none model and none cost_usd"),
        (b"day,model,cost_usd\n2024-10-04,x\n", "row 2 has 2 cells and the first row 3"),
        (b"day,model,cost_usd\n2024-10-04,x,free\n", "row 2: 'free' is not a number"),
        (b"day,model,cost_usd\n2024-10-04,x,NaN\n", "row 2: an amount of 'NaN' USD"),
        (b"day,model,cost_usd\n2024-10-04,x,1e40\n", "row 2: an amount of '1E[+]40' USD"),
        (b"day,model,cost_usd\ntomorrow,x,1\n", "row 2: 'tomorrow' is not a day such as"),
        (b"day,model,cost_usd\n2024-10-04T12:00:00Z,x,1\n", "is not the beginning of a day in UTC"),
        (b"day,model,cost_usd\n2024-10-04T00:00:00+02:00,x,1\n", "is not the beginning of a day in UTC"),
        (b"day,model,cost_usd\n1728000001,x,1\n", "is not the beginning of a day"),
        (b"day,model,cost_usd\n99999999999999999999,x,1\n", "is not a day such as"),
        (b"day,model,cost_usd\n2024-10-04,,1\n", "row 2 has no model"),
        (b"day,model,cost_usd,currency\n2024-10-04,x,1,EUR\n", "only USD can be compared"),
        (b"day,model,input_tokens,output_tokens\n2024-10-04,x,1.5,2\n", "'1.5' is not a whole number of input tokens"),
        (b"day,model,input_tokens,output_tokens\n2024-10-04,x,-1,2\n", "input tokens in one line cannot be true"),
        (b"day,model,input_tokens,output_tokens\n2024-10-04,x,1e999,2\n", "input tokens in one line cannot be true"),
        (b'day,model,cost_usd\n2024-10-04,"x,1\n', "bill, line"),
        (b"\xff\xfea\x00", "neither UTF-8 text nor JSON"),
        (b"[1, 2]", "item 1 is not an object"),
        (b'{"day": "2024-10-04"', "is not valid JSON"),
        (b"[" * 50_000, "not valid JSON|nested too deeply"),
        (b'[{"day": "2024-10-04", "cost_usd": 1}]', "item 1 has no column model"),
        (b'[{"day": "2024-10-04", "model": "x", "cost_usd": {"value": 1}}]', "cost_usd is no single value"),
        (b'{"data": [{"results": 5}]}', "no bucket with results"),
        (b'{"data": [{"starting_at": "x", "results": [{"amount": "1"}]}]}', "'x' is not a day"),
        (
            b'{"data": [{"start_time": 1728000000, "results": [{"input_tokens": 1, "num_model_requests": 1}]}]}',
            "must be grouped by model",
        ),
    ],
)
def test_what_is_wrong_is_named(content: bytes, said: str) -> None:
    with pytest.raises(BillMalformed, match=said):
        read_export(content, "bill")
