"""A stage of a plan as one request to its backend, everything resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from predictors.observation import Sampling
from router.allocation.progress import Progress
from router.backends import Call
from router.costs.worst_case import Bound, output_tokens_bound, samples_bound
from router.domain.growth import growth_of
from router.domain.plan import Stage
from router.first_decision.draw import stage_seed


def stage_call(
    progress: Progress, index: int, stage: Stage, bound: Bound, *, seed: int, now_s: float
) -> Call:
    """The call of the plan's stage `index`; `now_s` is monotonic."""
    query, trace = progress.query, progress.options.trace
    samples = samples_bound(query, progress.plan, index)
    sampling = over(query.sampling, stage.sampling)
    growth = growth_of(stage.stop)
    return Call(
        query=query,
        stage=progress.stage,
        sampling=replace(sampling, max_tokens=output_tokens_bound(query, stage, bound)),
        prompt=stage.prompt,
        max_samples=samples,
        width=min(max(stage.width, samples if samples > stage.max_samples else 1), samples),
        seed=stage_seed(seed, query, progress.stage),
        stream=progress.streams or progress.options.tell,
        growing=growth is not None,
        growth=growth,
        logprobs=True,
        time_left_s=None if progress.deadline_s is None else max(0.0, progress.deadline_s - now_s),
        trace=trace.of(progress.decision_id) if trace else None,
    )


def over(first: Sampling, second: Sampling) -> Sampling:
    """`first` where it says something, else `second`."""
    merged = {}
    for item in fields(Sampling):
        value = getattr(first, item.name)
        unsaid = value is None or (isinstance(value, (tuple, Mapping)) and not value)
        merged[item.name] = getattr(second, item.name) if unsaid else value
    return Sampling(**merged)
