"""A decision in words, after an answer or from the log: what was done, why, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.commands.tables import counted, distribution, moment, money, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.clients.admin_types import LoggedDecision
    from router.clients.values import DecisionInfo, Reply, Report, SampleSeen, Used

FEW = 8  # signals that are shown


def reply_text(reply: Reply) -> str:
    """What was decided about a query that was just answered."""
    rows = [("decision", reply.decision_id), ("status", reply.status.value)]
    rows += _decision(reply.decision)
    if reply.confidence is not None:
        rows.append(("confidence", f"{reply.confidence:.3g}"))
    rows.append(("cost", _cost(reply.usage)))
    rows += [(f"  {name}", _cost(used)) for name, used in reply.usage_by_backend.items()]
    rows += _samples(reply.samples, reply.usage)
    return table(row for row in rows if row[1])


def logged_text(row: LoggedDecision) -> str:
    """One row of the log, with its outcomes."""
    rows = [
        ("decision", f"{row.decision_id} at {moment(row.created_at)}"),
        ("request", f"{row.request_id}, tenant {row.tenant or '(none)'}"),
        ("query", row.query_text or row.query_hash),
        ("status", row.status.value + (f": {row.error}" if row.error else "")),
        *_decision(row.decision),
        ("drawn", f"{row.would_plan} ({row.would_propensity:.3g}), not served" if row.would_plan else ""),
        ("answer", row.answer or ""),
        ("confidence", "" if row.confidence is None else f"{row.confidence:.3g}"),
        ("cost", _cost(row.usage)),
        ("evaluation", "usable" if row.usable else f"not usable: {row.unusable_reason}"),
    ]
    rows += _samples(row.samples, row.usage)
    rows += [("outcome", outcome_text(outcome)) for outcome in row.outcomes]
    return table(line for line in rows if line[1])


def _samples(samples: Sequence[SampleSeen], used: Used) -> Iterator[tuple[str, str]]:
    """A line each; those that were begun and are not among them are counted, as their tokens are in the cost."""
    for sample in samples:
        yield "sample", sample_text(sample)
    if samples and used.samples > len(samples):
        yield "sample", f"{used.samples - len(samples)} more, cut or not kept; in the cost, too"


def sample_text(sample: SampleSeen) -> str:
    """One sample on one line."""
    words = [
        f"{sample.sample_id} of {sample.backend}",
        f"{sample.usage.tokens_in} + {sample.usage.tokens_out} tokens",
        sample.finish_reason,
        "" if sample.answer is None else f"answer {sample.answer!r}",
        "" if sample.confidence is None else f"confidence {sample.confidence:.3g}",
    ]
    return ", ".join(word for word in words if word)


def outcome_text(outcome: Report) -> str:
    """One outcome on one line."""
    return f"{outcome.metric} = {outcome.value}" + (f" by {outcome.source}" if outcome.source else "")


def _decision(info: DecisionInfo) -> Iterator[tuple[str, str]]:
    yield "plan", f"{info.plan} (probability {info.propensity:.3g})" + (", explored" if info.explored else "")
    yield "of", distribution(info.probabilities)
    yield (
        "policy",
        f"{info.policy}, mode {info.mode.value}, bundle {info.bundle or '(none)'}, price {info.price:g}",
    )
    yield "stopped", info.stop_reason
    first = "" if info.first_text_s is None else f", first text after {info.first_text_s:.3f} s"
    yield "latency", f"{info.latency_s:.3f} s{first}"
    yield "signals", _signals(info.signals)
    yield "degraded", "; ".join(info.degraded)


def _signals(signals: Mapping[str, float]) -> str:
    """Few of them by name; a bundle's are dozens."""
    if len(signals) > FEW:
        return f"{len(signals)}; `apportion explain DECISION` says them in words"
    return ", ".join(f"{name} {value:.3g}" for name, value in sorted(signals.items()))


def _cost(used: Used) -> str:
    tokens = f"{counted(used.samples, 'sample')}, {used.tokens_in} + {used.tokens_out} tokens"
    return f"{money(used.cost_exact)} ({tokens})"
