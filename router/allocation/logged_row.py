"""From the progress of a query to the row that is logged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from predictors.observation import Sample
from router.allocation.progress import Progress
from router.domain.decision import Decision, Keep, Mode, SampleRecord, Status
from router.domain.usage import Price
from router.first_decision.choose import REFERENCE

HASH_BYTES = 16


def logged_row(
    progress: Progress,
    *,
    keep: Keep,
    replica: str,
    sequence: int,
    bundle: str,
    prices: Mapping[str, Price],
    hash_key: bytes,
    now_s: float,
) -> Decision:
    """The row of a query that has ended, however it ended; `now_s` is monotonic."""
    chosen, choice, query = progress.chosen, progress.chosen.choice, progress.query
    drawn, served = choice.plan, progress.plan
    observed = progress.mode is Mode.OBSERVE
    # what takes over is part of the drawn plan's outcome, not another draw
    other = observed or served is not drawn
    unusable = unusable_reason(progress)
    picked = progress.selection.samples[0] if progress.selection and progress.selection.samples else None
    features, trace = progress.look.features, progress.options.trace
    return Decision(
        decision_id=progress.decision_id,
        request_id=query.request_id,
        replica=replica,
        sequence=sequence,
        created_at=progress.created_at,
        tenant=query.tenant,
        session_id=query.session_id,
        mode=progress.mode,
        policy=REFERENCE if observed else choice.policy,
        bundle=bundle,
        price=chosen.price,
        plan=served.name,
        digest=served.digest,
        propensity=1.0 if observed else choice.propensity,
        probabilities=dict(choice.probabilities),
        digests={forecast.plan.name: forecast.plan.digest for forecast in chosen.forecasts},
        explored=choice.explored and not observed,
        usable=not unusable,
        unusable_reason=unusable,
        would_plan=drawn.name if other else "",
        would_propensity=choice.propensity if other else 0.0,
        degraded=tuple(progress.degraded),
        signals=dict(progress.signals),
        features=b"" if features is None or keep is Keep.OFF else features.astype("<f4").tobytes(),
        samples=tuple(sample_record(sample, progress, keep) for sample in progress.samples.values()),
        status=progress.status,
        stop_reason=progress.stop_reason,
        answer=picked.answer if picked and keep is Keep.FULL else None,
        answer_text=picked.text if picked and keep is Keep.FULL else None,
        confidence=progress.selection.confidence if progress.selection else None,
        usage=dict(progress.meter.by_backend),
        cost=progress.meter.micros(prices) + progress.unsaid.micros(prices),
        costs={name: prices[name].micros(usage) for name, usage in progress.expected_usage.items()},
        reserved=sum(reservation.amount.micros for reservation in progress.reservations),
        charged=progress.charged,
        prices_since=progress.prices_since,
        latency_s=now_s - progress.started_s,
        first_text_s=progress.first_text_s,
        query_hash="" if keep is Keep.OFF else text_hash(query.text, hash_key),
        query_text=query.text if keep is Keep.FULL else None,
        metadata=query.metadata,
        error=progress.error if keep is Keep.FULL else progress.error_wordless or progress.error,
        forecasts={forecast.plan.name: (forecast.quality, forecast.cost) for forecast in chosen.forecasts},
        infeasible=dict(chosen.infeasible),
        phases=progress.phases,
        trace_id=trace.trace_id if trace else "",
        caller_span=trace.parent_id if trace else "",
    )


def unusable_reason(progress: Progress) -> str:
    """Why the row may not enter off-policy evaluation; empty where it may: as an outcome of the drawn plan."""
    if progress.mode is not Mode.APPLY:
        return f"mode {progress.mode.value}"
    if progress.query.constraints.plan:
        return "the caller chose the plan"
    if not progress.options.explore:
        return "the caller forbade exploration"
    if progress.status is Status.CANCELLED:
        return "the caller left"
    if progress.out_of_reach:
        return "nothing was asked"  # the drawn plan did not run: its outcome is not this
    return ""


def sample_record(sample: Sample, progress: Progress, keep: Keep) -> SampleRecord:
    """One sample as it is logged."""
    full = keep is Keep.FULL
    return SampleRecord(
        sample_id=sample.sample_id,
        backend=sample.backend,
        stage=sample.stage,
        index=sample.index,
        prefix_tokens=sample.prefix_tokens,
        finish_reason=sample.finish_reason,
        tokens_in=sample.tokens_in,
        tokens_cached=sample.tokens_cached,
        tokens_out=sample.tokens_out,
        mean_logprob=sample.mean_logprob,
        first_entropy=sample.first_entropy,
        confidence=progress.confidence.get(sample.sample_id, sample.confidence),
        latency_s=sample.latency_s,
        answer=sample.answer if full else None,
        answer_class=sample.answer_class,
        text=sample.text if full else None,
        ended_s=progress.arrivals_s.get(sample.sample_id),
        states=sample.states,
    )


def text_hash(text: str, key: bytes) -> str:
    """A keyed hash of a text, 32 hex digits: equal texts can be found, the text cannot."""
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES, key=key[:64]
    ).hexdigest()
