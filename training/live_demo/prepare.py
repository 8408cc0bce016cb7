"""A router.toml before live servers that asks as the recording was asked, and a bundle fitted on its other queries.

The compositions, which write one answer with both models, have a configuration of their own: nothing was learned about
them, so that no policy should choose between them and the plans of the bundle.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from router.config import (
    BackendConfig,
    BudgetConfig,
    ComposeConfig,
    Config,
    PlanConfig,
    PromptConfig,
    StoreConfig,
)
from router.recording import Recording
from training.errors import TrainingError
from training.menu import cheapest_first, menu_of
from training.menu_toml import toml_of

DOLLARS = 1.0  # of the ledger's window: far more than the demo can spend, so that nothing is refused
PATIENCE_S = 600.0  # of a sample: two cores may be busy with something else
COMPOSITIONS = ("glimpse", "speculative_steps")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The files of one live run, and the plans by name."""

    folder: Path
    kinds: Mapping[str, str]  # plan -> single | vote | cascade
    small: str  # the cheapest backend's plan
    large: str  # the plan of the backend that is right most often
    price: float  # quality per dollar

    @property
    def config(self) -> Path:
        """The service's configuration."""
        return self.folder / "router.toml"

    @property
    def composed(self) -> Path:
        """The configuration whose plans are `COMPOSITIONS`."""
        return self.folder / "composed.toml"

    @property
    def bundle(self) -> Path:
        """What was learned."""
        return self.folder / "bundle"

    def forced(self, kind: str) -> str:
        """The plan for a caller who insists on a kind: of several the middle one of the menu, "" for "".

        Raises TrainingError where the menu has none.
        """
        names = [name for name, found in self.kinds.items() if found == kind]
        if kind and not names:
            raise TrainingError(
                f"demo-vllm: the recording's menu has no {kind}: too few samples or no log-probabilities"
            )
        return names[(len(names) - 1) // 2] if kind else ""


def models_of(recording: Recording) -> dict[str, str]:
    """Backend of the recording -> name of the model that answered; raise TrainingError where it is not said."""
    collected: Mapping[str, Any] = recording.meta.extra.get("collected", {})
    missing = [name for name in recording.backends if not collected.get(name, {}).get("model")]
    if missing:
        raise TrainingError(
            f"demo-vllm: meta.json of {recording.name} does not say which model {', '.join(missing)} was"
        )
    return {name: str(collected[name]["model"]) for name in recording.backends}


def prepare(
    recording: Recording,
    fit_ids: Sequence[str],
    urls: Mapping[str, str],
    folder: Path,
    *,
    weight: float,
    seed: int,
) -> Prepared:
    """Write router.toml and the ids to fit on. `urls`: model -> server, without /v1.

    The shadow price is `weight` times the one at which the cheapest and the best backend are worth the same on average
    over the queries to fit on.
    """
    models = models_of(recording)
    missing = sorted(set(models.values()) - set(urls))
    if missing:
        raise TrainingError(f"demo-vllm: no server for {', '.join(missing)}")
    small, (large, price) = cheapest_first(recording)[0], best_and_balance(recording, fit_ids)
    config = live_config(
        recording, {name: urls[model] for name, model in models.items()}, price * weight, seed
    )
    folder.mkdir(parents=True, exist_ok=True)
    made = Prepared(folder, {plan.name: kind_of(plan) for plan in config.plans}, small, large, price * weight)
    made.config.write_text(toml_of(config), "utf-8")
    made.composed.write_text(toml_of(composed_config(config, small, large)), "utf-8")
    (folder / "fitted_on.txt").write_text("\n".join(fit_ids) + "\n", "utf-8")
    return made


def live_config(recording: Recording, urls: Mapping[str, str], price: float, seed: int) -> Config:
    """The menu that the offline demo makes, with servers in place of recorded backends. `urls`: backend -> server."""
    menu = menu_of(recording, Path(), price=price, seed=seed)
    collected: Mapping[str, Any] = recording.meta.extra["collected"]
    prompts: dict[str, PromptConfig] = {}
    backends: dict[str, BackendConfig] = {}
    for name, recorded in menu.backends.items():
        asked = collected[name]
        template = dict(asked.get("template") or {})
        prompts[template_of(asked)] = PromptConfig(
            **{key: template[key] for key in ("system", "before", "after") if key in template}
        )
        backends[name] = BackendConfig(
            urls=(urls[name],),
            model=str(asked["model"]),
            price_in=recorded.price_in,
            price_out=recorded.price_out,
            max_tokens=int(asked["max_tokens"]),
            logprobs=recorded.logprobs,
            extra_allowed=("min_tokens",),  # the queries that are left in the middle must not end before
            timeout_s=PATIENCE_S,
            first_token_timeout_s=PATIENCE_S / 2,
        )
    return msgspec.structs.replace(
        menu,
        backends=backends,
        prompts=prompts,
        plans=tuple(_as_asked(plan, collected) for plan in menu.plans),
        bundle="bundle",
        budget=BudgetConfig(dollars=DOLLARS),
        store=StoreConfig(sqlite="decisions.sqlite", keep="full"),
    )


def composed_config(config: Config, small: str, large: str) -> Config:
    """The same servers behind two compositions of them, each with a plan of one sample, asked as `large` is."""
    as_large = next(plan.stages[0] for plan in config.plans if plan.name == large)
    composed = {
        name: BackendConfig(
            kind=name,
            compose=ComposeConfig(small=small, large=large),
            max_tokens=config.backends[large].max_tokens,
        )
        for name in COMPOSITIONS
    }
    return msgspec.structs.replace(
        config,
        backends={**config.backends, **composed},
        plans=tuple(
            PlanConfig(name=name, stages=(msgspec.structs.replace(as_large, backend=name),))
            for name in COMPOSITIONS
        ),
        reference=COMPOSITIONS[0],
        untrained="",
        bundle="",
        policy="utility",
        store=StoreConfig(sqlite="composed.sqlite", keep="full"),
    )


def _as_asked(plan: PlanConfig, collected: Mapping[str, Any]) -> PlanConfig:
    """The plan with every stage prompted and sampled as the recording was."""
    stages = tuple(
        msgspec.structs.replace(
            stage,
            prompt=template_of(collected[stage.backend]),
            temperature=float(collected[stage.backend]["temperature"]),
        )
        for stage in plan.stages
    )
    return msgspec.structs.replace(plan, stages=stages)


def template_of(asked: Mapping[str, Any]) -> str:
    """The name of the prompt template that a backend was recorded with."""
    return str((asked.get("template") or {}).get("name", "none"))


def kind_of(plan: PlanConfig) -> str:
    """single | vote | cascade."""
    if len(plan.stages) > 1:
        return "cascade"
    return "vote" if plan.stages[0].max_samples > 1 else "single"


def best_and_balance(recording: Recording, fit_ids: Sequence[str]) -> tuple[str, float]:
    """The backend that is right most often on these queries, and the price at which it and the cheapest are level.

    (mean reward of the best − of the cheapest) / (difference of their mean costs), in quality per dollar.
    """
    seen = recording.columns
    inside = np.isin(seen.query, [recording.index_of(query_id) for query_id in fit_ids])
    reward, cost = {}, {}
    for name in cheapest_first(recording):
        rows = (
            inside & (seen.backend == recording.backends.index(name)) & seen.finished & ~np.isnan(seen.reward)
        )
        if rows.any():
            reward[name], cost[name] = float(seen.reward[rows].mean()), float(seen.cost[rows].mean())
    if not reward:
        raise TrainingError(f"demo-vllm: {recording.name} has no rewards: grade it first")
    cheapest, best = next(iter(reward)), max(reward, key=lambda name: reward[name])
    saved = cost[best] - cost[cheapest]
    return best, (reward[best] - reward[cheapest]) / saved if saved > 0 else 0.0


def fit(prepared: Prepared, recording: Path, seed: int) -> None:
    """Learn the bundle in a process of its own, on the queries that are not held out. Raises TrainingError."""
    done = subprocess.run(  # noqa: S603 (our own command)
        [
            *(sys.executable, "-m", "training", "fit", "--recording", str(recording)),
            *("--config", str(prepared.config), "--queries", str(prepared.folder / "fitted_on.txt")),
            *("--out", str(prepared.bundle), "--seed", str(seed), "--no-outlook"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise TrainingError(f"demo-vllm: fit ended with code {done.returncode}: {said}")
