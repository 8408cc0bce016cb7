"""One HTML page of an evaluation: it holds its own pictures and style, so that it can be sent and kept."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from training.evaluation.charts import frontier, reliability
from training.evaluation.facts import Facts, changed
from training.figures.spread import Spread

MOST_TASKS = 20
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#2b2d42;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}p.small{color:#667}svg{max-width:100%;height:auto}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px
solid #e5e7ee}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.side{display:flex;flex-wrap:wrap;gap:2rem}
"""


def page(recording: str, found: Sequence[Facts], before: Sequence[Facts] = ()) -> str:
    """`before`: an earlier evaluation of the same recording, compared point by point on the queries of both."""
    first = found[0]
    parts = [
        f"<h1>How decisions turned out: {escape(recording)}</h1>",
        f'<p class="small">{len(first.query)} queries with a reward; {first.unlabelled} without one are left out.</p>',
        "<h2>Quality and cost</h2>",
        frontier(found),
        _outcomes(found),
        _alone(first),
    ]
    if before:
        parts += ["<h2>What changed</h2>", _changes(found, before)]
    parts += ["<h2>Where more could be had</h2>", _zones(first), _regret(first)]
    parts += ["<h2>Risk</h2>", _risk(found), "<h2>Calibration</h2>", _calibration(first)]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(recording)}</title>"
    )
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>\n'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are words, the others numbers."""
    kinds = ["" if place < words else ' class="n"' for place in range(len(head))]
    top = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _outcomes(found: Sequence[Facts]) -> str:
    rows = []
    for one in found:
        plans = ", ".join(f"{name} {100 * share:.0f} %" for name, share in one.plans[:4])
        more = len(one.plans) - 4
        passed = "–" if one.cost_of_pass is None else f"${one.cost_of_pass:.4f}"
        rows.append(
            (
                one.name,
                plans + (f", {more} more" if more > 0 else ""),
                _between(one.reward, 3),
                f"${one.cost:.4f}",
                passed,
            )
        )
    head = ("decided by", "plans", "mean reward", "per 1,000 queries", "per 1,000 right answers")
    return _table(head, rows, 2)


def _alone(one: Facts) -> str:
    rows = [(each.name, f"{each.reward:.3f}", f"${each.cost:.4f}") for each in (*one.alone, one.oracle)]
    note = "The oracle knows every outcome and takes the cheapest of the best backends; nobody reaches it."
    return (
        _table(("for every query", "mean reward", "per 1,000 queries"), rows) + f'<p class="small">{note}</p>'
    )


def _changes(found: Sequence[Facts], before: Sequence[Facts]) -> str:
    earlier = {one.name: one for one in before}
    rows = []
    for one in found:
        told = changed(one, earlier[one.name]) if one.name in earlier else None
        if told is None:
            rows.append((one.name, "not in the earlier file", "–", "–"))
        else:
            reward, cost, queries = told
            rows.append((one.name, str(queries), _between(reward, 1, "+"), _between(cost, 1, "+")))
    return _table(("decided by", "same queries", "reward, points", "cost, %"), rows, 1)


def _zones(one: Facts) -> str:
    rows = [(name, f"{100 * share:.0f} %", f"{reward:.3f}") for name, share, reward in one.zones]
    return _table(("who is right", "of the queries", f"mean reward of {one.name}"), rows)


def _regret(one: Facts) -> str:
    rows = [
        (task, str(count), f"{reward:.3f}", f"{100 * regret:.1f}")
        for task, count, regret, reward in one.regret[:MOST_TASKS]
    ]
    left = len(one.regret) - len(rows)
    note = f'<p class="small">{left} tasks with less in all are not shown.</p>' if left > 0 else ""
    return (
        _table(("task", "queries", "mean reward", "points below the best backend of each query"), rows) + note
    )


def _risk(found: Sequence[Facts]) -> str:
    rows = [(one.name, "–" if one.risk is None else f"{100 * one.risk:.1f} %") for one in found]
    note = (
        "Share of all queries that the best single backend did not answer, that went wrong, and that it answers "
        "rightly more often than not."
    )
    return _table(("decided by", "realised risk"), rows) + f'<p class="small">{note}</p>'


def _calibration(one: Facts) -> str:
    if not one.reliability:
        return "<p>The decisions carry no predictions, or too few to say.</p>"
    parts = []
    for each in one.reliability:
        words = f"ECE {each.ece:.3f}, Brier skill {each.brier_skill:+.3f}, {each.queries} queries"
        parts.append(
            f"<div><strong>{escape(each.signal)}</strong><br><span>{words}</span><br>{reliability(each)}</div>"
        )
    return f'<div class="side">{"".join(parts)}</div>'


def _between(value: Spread, digits: int, sign: str = "") -> str:
    return f"{value.mean:{sign}.{digits}f} [{value.lo:{sign}.{digits}f}, {value.hi:{sign}.{digits}f}]"
