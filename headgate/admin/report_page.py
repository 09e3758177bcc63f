"""The report on a job as a page of HTML: one file, with nothing to load, that can be mailed and read anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from headgate.admin.moments import written
from headgate.admin.report_views import CostView, ReportView

REFRESH_SECONDS = 5
# Each event of the job has the page fetched again and its body put in place of this one's, at most once a second. Where
# that does not work, the page loads itself again: from a file, without events, without scripts.
_LIVE = """
const again = () => setTimeout(() => location.reload(), %d);
const show = async () => {
  if (show.busy) { show.wanted = true; return; }
  show.busy = true; show.wanted = false;
  const answer = await fetch(location.href).catch(() => null);
  if (answer && answer.ok) {
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.body.replaceChildren(...fresh.body.childNodes);
  }
  setTimeout(() => { show.busy = false; if (show.wanted) show(); }, 1000);
};
if (location.protocol === "file:") again();
else {
  const query = new URLSearchParams(location.search);
  for (const name of ["format", "limit"]) query.delete(name);
  const events = new EventSource("events?" + query);
  events.addEventListener("job", show);
  events.addEventListener("done", () => { events.close(); show(); });
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) again(); };
}
"""
_PICO = 12  # digits behind the point
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde2ea;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:#e8ecf2;height:.8rem;border-radius:.4rem;overflow:hidden}.bar div{background:#3465a4;height:100%}
.facts{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}.facts b{display:block;font-size:1.25rem}
pre{white-space:pre-wrap;background:#f5f7fa;padding:1rem;border-radius:.4rem}
@media(prefers-color-scheme:dark){body{background:#14181e;color:#dfe5ee}th,td{border-color:#303845}
.bar{background:#303845}pre{background:#1c222b}}
"""


def page(report: ReportView) -> str:
    """The page. While the job runs it follows the job's events."""
    job = report.job
    refresh = f'<noscript><meta http-equiv="refresh" content="{REFRESH_SECONDS}"></noscript>'
    live = "" if job.finished_at else f"{refresh}<script>{_LIVE % (1000 * REFRESH_SECONDS)}</script>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(job.id)}</title>{live}'
        f"<style>{_STYLE}</style></head><body>"
        f"{_head(report)}{_parts(report)}{_costs(report)}{_failures(report)}{_slowest(report)}{_result(report)}"
        "</body></html>\n"
    )


def _head(report: ReportView) -> str:
    job = report.job
    done, total = job.progress.done, job.progress.total
    facts = {
        "state": "paused" if job.paused else job.state.value,
        "done": f"{done} of {total}",
        "cost": f"{job.cost_usd} USD",
        "forecast": f"{job.forecast_usd} USD" if job.forecast_usd else "",
        "may cost": f"{job.max_cost_usd} USD" if job.max_cost_usd else "",
        "paid for lost calls, not charged": f"{job.duplicate_cost_usd} USD" if job.duplicate_cost_usd != "0" else "",
        "begun": written(job.created_at),
        "ended": written(job.finished_at) if job.finished_at else "",
    }
    shown = "".join(f"<div>{escape(name)}<b>{escape(value)}</b></div>" for name, value in facts.items() if value)
    why = f"<p>Last error: {escape(job.error.message)}</p>" if job.error else ""
    title = f"<h1>{escape(job.kind)}: {escape(job.id)}</h1>"
    return f'{title}{_bar(done, total)}<p></p><div class="facts">{shown}</div>{why}'


def _parts(report: ReportView) -> str:
    rows = [
        (part.name or "the job itself", part.state, f"{part.done} of {part.total}", part.total - part.succeeded)
        for part in report.parts
    ]
    return _table("Parts", ("part", "state", "done", "not succeeded"), rows, numbers=3)


def _costs(report: ReportView) -> str:
    """By model and by day, and by shard."""
    columns = ("requests", "input tokens", "of those cached", "output tokens", "USD", "USD, not charged")
    by_model = _grouped(report.costs, lambda row: f"{row.model}, {row.day}")
    by_shard = _grouped(report.costs, lambda row: f"shard {row.shard}" if row.shard else "putting together")
    return _table("Cost by model and day", ("model", *columns), by_model, numbers=1) + _table(
        "Cost by shard", ("shard", *columns), by_shard, numbers=1
    )


def _grouped(costs: Iterable[CostView], name: object) -> list[tuple[object, ...]]:
    assert callable(name)
    sums: dict[str, list[int]] = {}
    for row in costs:
        amounts = sums.setdefault(name(row), [0] * 6)
        tokens = (row.requests, row.input_tokens, row.cached_input_tokens, row.output_tokens)
        money = (_picousd(row.cost_usd), _picousd(row.duplicate_cost_usd))
        for index, value in enumerate((*tokens, *money)):
            amounts[index] += value
    return [(group, *amounts[:4], _usd(amounts[4]), _usd(amounts[5])) for group, amounts in sums.items()]


def _failures(report: ReportView) -> str:
    if not report.failure_count:
        return ""
    rows = [(each.label or each.number, each.state, each.code, each.message, each.attempts) for each in report.failures]
    title = f"What did not succeed: {report.failure_count}"
    return _table(title, ("item", "state", "code", "why", "attempts"), rows, numbers=4)


def _slowest(report: ReportView) -> str:
    rows = [
        (each.label or each.number, each.model, f"{each.seconds:.2f}", each.output_tokens) for each in report.slowest
    ]
    return _table("The slowest requests", ("item", "model", "seconds", "output tokens"), rows, numbers=2)


def _result(report: ReportView) -> str:
    result = bytes(report.result).decode(errors="replace")
    return f"<h2>Result</h2><pre>{escape(result)}</pre>" if result != "null" else ""


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: int) -> str:
    """Columns from `numbers` on are numbers."""
    if not rows:
        return ""

    def cells(tag: str, values: Sequence[object]) -> str:
        kinds = ("" if index < numbers else ' class="n"' for index in range(len(values)))
        return "".join(f"<{tag}{kind}>{escape(str(value))}</{tag}>" for kind, value in zip(kinds, values, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{cells('th', columns)}</tr>{body}</table>"


def _bar(done: int, total: int) -> str:
    percent = 100 * done / total if total else 0
    return f'<div class="bar"><div style="width:{percent:.1f}%"></div></div>'


def _picousd(usd: str) -> int:
    whole, _, fraction = usd.partition(".")
    return int(whole + fraction.ljust(_PICO, "0"))


def _usd(picousd: int) -> str:
    return f"{picousd / 10**_PICO:.6f}"
