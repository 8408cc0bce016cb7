"""Decisions that a service took, replayed or served, as one block of decision rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from router.config import Config
from router.recording import Recording
from router.recordings.cost import Prices
from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey, cost_of_samples
from training.decisions_file import find_rows


@dataclass(frozen=True, slots=True)
class Taken:
    """What was done with one query."""

    place: int  # index into Recording.queries
    plan: str
    # backend, sample_idx, prefix_tokens, in order of arrival
    samples: tuple[tuple[str, int, int | None], ...]
    answer: str | None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, float] = field(default_factory=dict)


def rows_of_taken(taken: Sequence[Taken], recording: Recording, config: Config, key: RowKey) -> DecisionRows:
    """Costs follow the recording's cost rule at the configuration's prices.

    Raises `RecordingError` for a sample that was not recorded.
    """
    played = {name: section.recorded_as or name for name, section in config.backends.items()}
    drawn = [
        (one.place, recording.backends.index(played[backend]), index, -1 if prefix is None else prefix)
        for one in taken
        for backend, index, prefix in one.samples
    ]
    named = np.array(drawn, dtype=np.int64).reshape(-1, 4)
    plans = tuple(dict.fromkeys(one.plan for one in taken))
    answers = tuple(dict.fromkeys(one.answer for one in taken if one.answer is not None))
    plan_number = {name: place for place, name in enumerate(plans)}
    number: dict[str | None, int] = {None: NO_ANSWER} | {text: place for place, text in enumerate(answers)}
    rows = DecisionRows(
        key=key,
        query=np.array([one.place for one in taken], dtype=np.int32),
        plans=plans,
        plan=np.array([plan_number[one.plan] for one in taken], dtype=np.int32),
        samples_from=np.concatenate(([0], np.cumsum([len(one.samples) for one in taken]))).astype(np.int32),
        sample_row=find_rows(recording, named[:, 0], named[:, 1], named[:, 2], named[:, 3]),
        answer=np.array([number[one.answer] for one in taken], dtype=np.int32),
        cost=np.zeros(len(taken)),
        probabilities=_named([one.probabilities for one in taken]),
        signals=_named([one.signals for one in taken]),
        answers=answers,
    )
    charged = dict(recording.prices) | {
        played[name]: Prices(section.price_in, section.price_out) for name, section in config.backends.items()
    }
    return replace(rows, cost=cost_of_samples(rows, recording, charged))


def with_small_wrong(signals: Mapping[str, float], cheapest: str) -> dict[str, float]:
    """The signals, and `p_small_wrong` of the cheapest backend where its P(right) is known."""
    right = signals.get(f"p_correct/{cheapest}")
    return dict(signals) if right is None else {"p_small_wrong": 1 - right, **signals}


def _named(rows: Sequence[Mapping[str, float]]) -> Named:
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    number = {name: place for place, name in enumerate(names)}
    entries = [(number[name], value) for row in rows for name, value in row.items()]
    return Named(
        names,
        np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int32),
        np.array([code for code, _ in entries], dtype=np.int32),
        np.array([value for _, value in entries], dtype=np.float64),
    )
