"""What one cycle reads of the log: labelled decisions, which of them are fitted on and which are held out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.config import Config
from router.configuration.build_plans import build_plans
from router.recordings.text_split import split_by_text
from training.cycle.policy import BundlePolicy, Wanted
from training.fit.log_rows import COLUMNS
from training.fit.stops import columns_for
from training.log.columns import DECIDED
from training.log.read import DecisionLog, read_log
from training.log.rewards import reward_decisions
from training.off_policy.logged import LoggedRows
from training.off_policy.usable import LogColumns, usable_rows

Floats = NDArray[np.float64]
HELD_OUT = 0.3  # of query texts
SPLIT = 104_729  # the same in every cycle: what serves, fitted in an earlier one, must not have seen them
ALSO = (
    "price",
    "cost",
    "latency_s",
    "mode",
    "bundle",
    "features",
    "forecasts",
    "unusable_reason",
    "would_plan",
    "stop_reason",
)


@dataclass(frozen=True, slots=True)
class CycleRows:
    """n decisions with their rewards (NaN: none)."""

    log: DecisionLog
    reward: Floats = field(compare=False)  # (n,)
    fitted: NDArray[np.bool_] = field(compare=False)  # (n,) may be fitted on
    held_out: NDArray[np.bool_] = field(compare=False)  # (n,) labelled, of texts that are not fitted on

    @property
    def labelled(self) -> int:
        """Decisions with a reward."""
        return int(np.isfinite(self.reward).sum())


@dataclass(frozen=True, slots=True)
class Compared:
    """m usable decisions, and what two bundles would have done with them, (m, A) probabilities each."""

    logged: LoggedRows
    candidate: Floats = field(compare=False)
    incumbent: Floats = field(compare=False)
    price: Floats = field(compare=False)  # (m,) quality per dollar
    expected: Floats = field(compare=False)  # (m, A) rewards that the candidate expects; NaN: none


def read_rows(
    root: str,
    config: Config,
    *,
    since: float,
    until: float,
    now_s: float,
    held_out: float = HELD_OUT,
) -> CycleRows:
    """Decisions made in [since, until), split by text. Raises `TrainingError`."""
    columns = (*COLUMNS, *ALSO, *columns_for(build_plans(config)))
    log = read_log(root, columns=columns, since=since, until=until)
    reward = reward_decisions(log, config.rewards, now_s).reward
    texts = [text or "" for text in log.texts("query_text")]
    held = split_by_text(texts, (1 - held_out, held_out), SPLIT) == 1
    known = np.isfinite(reward) & np.array([bool(text) for text in texts], dtype=np.bool_) & ~log.shadows
    return CycleRows(log, reward, known & ~held, known & held)


def labelled_in(root: str, config: Config, now_s: float) -> int:
    """Decisions of the whole log that have a reward."""
    reward = reward_decisions(read_log(root, columns=()), config.rewards, now_s).reward
    return int(np.isfinite(reward).sum())


def compared(rows: CycleRows, candidate: BundlePolicy, incumbent: BundlePolicy) -> Compared:
    """The held-out decisions that an evaluation may use."""
    log = rows.log.taken(rows.held_out)
    actions = log.actions()
    features = log.features().astype(np.float64)
    price = log.numbers("price")
    # what the caller's own models cost is in no row
    decided = np.array([reason == DECIDED for reason in log.texts("stop_reason")], dtype=np.bool_)
    # what identifies a row rides along as its last feature, and is taken off again
    marked = np.hstack([features, np.arange(len(log), dtype=np.float64)[:, None]])
    found = usable_rows(
        LogColumns(
            digests=actions.digests,
            plans=actions.plans,
            features=marked,
            probabilities=actions.probabilities,
            action=actions.drawn,
            propensity=log.numbers("propensity"),
            usable=log.flags("usable"),
            reward=rows.reward[rows.held_out],
            cost=np.where(decided, np.nan, log.numbers("cost") * 1e-6),
            latency=log.numbers("latency_s"),
            time=log.times(),
            tenant=np.array([text or "" for text in log.texts("tenant")], dtype=np.str_),
            task=np.full(len(log), "", dtype=np.str_),
            session=[text or "" for text in log.texts("session_id")],
            unusable_reason=[text or "" for text in log.texts("unusable_reason")],
        )
    )
    places = found.features[:, -1].astype(np.int64)
    kept = np.zeros(len(log), dtype=np.bool_)
    kept[places] = True
    log = log.taken(kept)
    mine, theirs = (_wanted(policy, log) for policy in (candidate, incumbent))
    offered = {
        digest: plan
        for wanted in (mine, theirs)
        for plan, digest in zip(wanted.plans, wanted.digests, strict=True)
    }
    plain = {name: getattr(found, name) for name in LoggedRows.__dataclass_fields__}
    logged = LoggedRows(**{**plain, "features": found.features[:, :-1]}).offering(offered)
    return Compared(
        logged,
        _by_action(logged, mine, mine.probabilities, 0.0),
        _by_action(logged, theirs, theirs.probabilities, 0.0),
        price[places],
        _by_action(logged, mine, mine.quality, np.nan),
    )


def _wanted(policy: BundlePolicy, log: DecisionLog) -> Wanted:
    """What a bundle would have done with these decisions."""
    feasible = [[name for name, _ in entries] for entries in log.column("probabilities").to_pylist()]
    texts = [text or "" for text in log.texts("query_text")]
    return policy.wanted(texts, feasible, log.numbers("price").tolist())


def _by_action(logged: LoggedRows, wanted: Wanted, values: Floats, other: float) -> Floats:
    """(m, P) by plan as (m, A) by action; `other` where the bundle has no such action."""
    found = np.full((len(logged), len(logged.actions)), other)
    place = {digest: at for at, digest in enumerate(logged.actions)}
    for column, digest in enumerate(wanted.digests):
        found[:, place[digest]] = values[:, column]
    return found
