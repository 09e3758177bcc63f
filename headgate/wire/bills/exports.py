"""Exports of usage and costs: tables as CSV, rows as JSON, and pages of the providers' own APIs that were saved.

A table needs a day and a model (or OpenAI's line item), and tokens or an amount; each column may have any of several
names, those of OpenAI's own exports among them. Columns that are not known are passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from headgate.bills import StatementLine, Tokens
from headgate.errors import BillMalformed
from headgate.wire.bills import anthropic, openai
from headgate.wire.bills.numbers import count, day_of_text, day_of_unix, decimal, decoded_freely, picousd, quoted

COLUMNS: dict[str, tuple[str, ...]] = {
    "day": ("day", "date", "start_time_iso", "starting_at", "usage_date_utc", "start_time"),
    "model": ("model", "model_version", "model_name"),
    "line_item": ("line_item",),
    "key": ("key", "api_key_id", "key_fingerprint"),
    "requests": ("requests", "num_model_requests"),
    "input": ("input_tokens",),
    "cached_input": ("cached_input_tokens", "input_cached_tokens"),
    "cache_write": ("cache_write_tokens", "input_cache_write_tokens"),
    "cache_write_1h": ("cache_write_1h_tokens",),
    "output": ("output_tokens",),
    "cost": ("cost_usd", "amount_value", "cost"),
    "currency": ("currency", "amount_currency"),
}
TOKEN_CLASSES = ("input", "cached_input", "cache_write", "cache_write_1h", "output")
_CELLS = (str, int, Decimal, type(None), bool)
_WHOLE = re.compile(r"[0-9]+")

Row = Mapping[str, str]


def read_export(content: bytes, source: str) -> list[StatementLine]:
    """The lines of an export, whichever it is. Raises BillMalformed, naming the row."""
    text = content.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:1] in (b"{", b"["):
        return _json(text, source)
    try:
        table = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BillMalformed(f"{source} is neither UTF-8 text nor JSON: {error}.") from None
    return _table(table, source)


def _table(text: str, source: str) -> list[StatementLine]:
    head = text.lstrip().partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip().lower() for name in next(rows)]
        lines = _rows(names, rows, source)
        return list(lines)
    except StopIteration:
        raise BillMalformed(f"{source} is empty.") from None
    except csv.Error as error:
        raise BillMalformed(f"{source}, line {rows.line_num}: {error}.") from None


def _rows(names: Sequence[str], rows: Iterator[Sequence[str]], source: str) -> Iterator[StatementLine]:
    columns = _columns(names, source)
    for number, cells in enumerate(rows, 2):
        where = f"{source}, row {number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise BillMalformed(f"{where} has {len(cells)} cells and the first row {len(names)}.")
        line = _line({column: cells[place].strip() for column, place in columns.items()}, where)
        if line is not None:
            yield line


def _columns(names: Sequence[str], source: str) -> dict[str, int]:
    """Where each column is. Raises BillMalformed for a table without what it needs."""
    found = {
        column: next(names.index(name) for name in aliases if name in names)
        for column, aliases in COLUMNS.items()
        if any(name in names for name in aliases)
    }
    missing = []
    if "day" not in found:
        missing.append("day")
    if "model" not in found and "line_item" not in found:
        missing.append("model")
    if "cost" not in found and not {"input", "output"} <= found.keys():
        missing.append("cost_usd (or input_tokens and output_tokens)")
    if missing:
        there = ", ".join(name for name in names if name) or "none"
        raise BillMalformed(f"{source} has no column {' and none '.join(missing)}; its columns: {there[:300]}.")
    return found


def _line(row: Row, where: str) -> StatementLine | None:
    """None for a row that says nothing, as OpenAI writes for days without costs."""
    day_text = row["day"]
    if _WHOLE.fullmatch(day_text) and len(day_text) < 20:
        day = day_of_unix(int(day_text), where)
    else:
        day = day_of_text(day_text, where)
    model, other = row.get("model", ""), ""
    if not model and row.get("line_item"):
        model, other = openai.model_of(row["line_item"])
    told = [row[name] for name in ("input", "output", "cost") if row.get(name)]
    if not told:
        return None
    if not model and not other:
        raise BillMalformed(f"{where} has no model.")
    currency = row.get("currency") or "USD"
    if currency.upper() != "USD":
        raise BillMalformed(f"{where}: an amount in {quoted(currency)}: only USD can be compared.")
    tokens = Tokens(**{name: _whole(row, name, where) for name in TOKEN_CLASSES})
    return StatementLine(
        day=day,
        model=model,
        key=row.get("key", ""),
        requests=_whole(row, "requests", where) if row.get("requests") else None,
        tokens=tokens if row.get("input") or row.get("output") else None,
        cost_picousd=picousd(decimal(row["cost"], where), where) if row.get("cost") else None,
        other=other,
    )


def _whole(row: Row, name: str, where: str) -> int:
    text = row.get(name, "").replace("_", "")
    if not text:
        return 0
    number = decimal(text, where)
    if not number.is_finite() or number != number.to_integral_value():
        raise BillMalformed(f"{where}: {quoted(text)} is not a whole number of {name} tokens.")
    return count(int(number) if abs(number) < 10**20 else 10**20, f"{name} tokens", where)


# --- JSON ---


def _json(content: bytes, source: str) -> list[StatementLine]:
    value = decoded_freely(content, source)
    items = value if isinstance(value, list) else [value]
    lines: list[StatementLine] = []
    for number, item in enumerate(items, 1):
        where = f"{source}, item {number}" if isinstance(value, list) else source
        if not isinstance(item, dict):
            raise BillMalformed(f"{where} is not an object.")
        nested = item.get("lines", item.get("rows"))
        if isinstance(item.get("data"), list):
            lines += _page(item["data"], where)
        elif isinstance(nested, list):
            lines += _json(msgspec.json.encode(nested), where)
        else:
            line = _object(item, where)
            lines += [line] if line is not None else []
    return lines


def _object(item: Mapping[str, object], where: str) -> StatementLine | None:
    """A row as an object, with the names that columns have."""
    bad = [name for name, value in item.items() if not isinstance(value, _CELLS)]
    known = {name for aliases in COLUMNS.values() for name in aliases}
    if known & {*bad}:
        raise BillMalformed(f"{where}: {', '.join(sorted(known & {*bad}))} is no single value.")
    columns = _columns(list(item), where)
    cells = ["" if value is None else str(value) for value in item.values()]
    return _line({column: cells[place] for column, place in columns.items()}, where)


def _page(data: Sequence[object], where: str) -> list[StatementLine]:
    """A page of a provider's API, told by its first bucket with results."""
    body = msgspec.json.encode({"data": data})
    for bucket in data:
        results = bucket.get("results") if isinstance(bucket, dict) else None
        if not isinstance(bucket, dict) or not isinstance(results, list):
            raise BillMalformed(f"{where}: data has something that is no bucket with results.")
        if not results or not isinstance(results[0], dict):
            continue
        costs, by_key = "amount" in results[0], b'"api_key_id":"' in body
        if "starting_at" in bucket:
            return (anthropic.cost_page(body, where) if costs else anthropic.usage_page(body, where, by_key=by_key))[0]
        return (openai.cost_page(body, where) if costs else openai.usage_page(body, where, by_key=by_key))[0]
    return []
