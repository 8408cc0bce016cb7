"""A configuration in words: backends with prices, plans with digests, and what a query may cost at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from predictors.observation import Message, Part, Query
from router.config import AccountConfig, BudgetConfig, Config
from router.configuration.doubts import price_doubts
from router.configuration.service import reference_plan, untrained_plan
from router.costs.backend_terms import bounds_of, price_of
from router.costs.worst_case import worst_cost
from router.domain.plan import Gate, Plan, Stage
from router.durations import span
from router.plugin_words import in_words
from router.selectors import SELECTORS
from router.stopping import STOPPING_RULES
from router.verifiers import VERIFIERS

PROMPT_BYTES = 1000  # of the query whose worst case is shown: about 160 words


def summary(config: Config, plans: Mapping[str, Plan], at: float) -> dict[str, Any]:
    """Everything that `apportion check` shows, as JSON types; money in dollars and $ per 1M tokens.

    Prices are those of a time, `at`, seconds since the epoch.
    """
    bounds = bounds_of(config, at)
    query = Query("", (Message("user", (Part(text="x" * PROMPT_BYTES),)),))
    prices = {name: price_of(backend, at) for name, backend in config.backends.items()}
    return {
        "mode": config.mode,
        "policy": config.policy if isinstance(config.policy, str) else dict(config.policy),
        "bundle": config.bundle,
        "reference": reference_plan(config),
        "untrained": untrained_plan(config),
        "budget": {"dollars": config.budget.dollars, "window": window_text(config.budget)},
        "budgets": {
            account.name: {"amount": account.amount, "unit": account.unit, "window": window_text(account)}
            for account in config.budgets
        },
        "backends": {
            name: {
                "kind": backend.kind,
                "from": _source(name, backend.kind, config),
                "price_in": prices[name].per_token_in,
                "price_cached_in": prices[name].per_token_cached,
                "price_out": prices[name].per_token_out,
                "max_tokens": backend.max_tokens,
                "context_tokens": backend.context_tokens,
            }
            for name, backend in config.backends.items()
        },
        "plans": {
            name: {
                "digest": plan.digest,
                "commit": plan.commit.value,
                "stages": [stage_text(stage) for stage in plan.stages],
                "worst_case_dollars": worst_cost(query, plan, bounds) / 1e6,
            }
            for name, plan in plans.items()
        },
        "worst_case_prompt_bytes": PROMPT_BYTES,
        "doubts": list(price_doubts(config)),
    }


def window_text(account: AccountConfig | BudgetConfig) -> str:
    """`3600 s`, `7 d` or `month`."""
    return span(account.window_s) if account.window == "rolling" else account.window


def stage_text(stage: Stage) -> str:
    """One stage on one line: `small: up to 8 samples, 3 at a time, stop agreement(needed=3), select majority`."""
    several = (
        f"up to {stage.max_samples} samples, {stage.width} at a time" if stage.max_samples > 1 else "1 sample"
    )
    words = [
        several,
        f"stop {in_words(stage.stop, STOPPING_RULES)}",
        f"select {in_words(stage.select, SELECTORS)}",
    ]
    if stage.prompt.name:
        words.append(f"prompt {stage.prompt.name}")
    if stage.verifier is not None:
        words.append(f"verifier {in_words(stage.verifier, VERIFIERS)}")
    if stage.gate is not None:
        words.append(f"if {_gate_text(stage.gate)}")
    if stage.pool:
        words.append("over the samples of all stages")
    return f"{stage.backend}: {', '.join(words)}"


def _gate_text(gate: Gate) -> str:
    low = "" if gate.at_least is None else f"{gate.at_least:g} <= "
    high = "" if gate.below is None else f" < {gate.below:g}"
    return f"{low}{gate.signal}{high}"


def _source(name: str, kind: str, config: Config) -> str:
    backend = config.backends[name]
    if kind == "vllm":
        return f"{backend.model} at {', '.join(backend.urls)}"
    if kind == "recorded":
        return f"{backend.recorded_as or name} of {backend.recording}"
    if backend.compose.small:
        return " and ".join(name for name in (backend.compose.small, backend.compose.large) if name)
    return f"{len(backend.script)} texts" if kind == "scripted" else ""
