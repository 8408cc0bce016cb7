"""Settings that a subject offers, and which of them a tuning half would take.

What a setting loses there is told by the traces that it stops and, where the best of all families is chosen, by the
head's held-out expectation at the looks at which it stops them as well. The larger counts: of many the best was lucky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.early_exit.halves import Half, Known
from training.suites.early_exit.traces import Floats
from training.suites.early_exit.watch import Watch, Watched, watched

TARGET = 0.5  # points that a setting may lose on the tuning half
CAUTION = 0.5  # standard errors added to that loss: the best of many settings is a lucky one
TOLD_WITHIN = 0.5  # points that the head's expectation may be too high by
UNSEEN = 0.1  # losses added for the error's sake: none seen among a few stopped traces does not mean none


@dataclass(frozen=True, slots=True)
class Settings:
    """k settings for n traces, each a watch and the look at which every trace stops under it."""

    labels: tuple[str, ...]
    watched: tuple[Watched, ...]  # k, many of them the same object
    stops: tuple[NDArray[np.int64], ...] = field(compare=False)  # k of (n,): look, or L' for never
    spent: Floats = field(compare=False)  # (k, n) output tokens, looks included
    loss: Floats = field(compare=False)  # (k, n) the end's reward less the one that was had
    stopped: NDArray[np.bool_] = field(compare=False)  # (k, n) before the end

    @classmethod
    def of(cls, offered: Sequence[tuple[str, Watched, NDArray[np.int64]]]) -> Settings:
        """Of (label, watched, stops), at least one."""
        spent, loss, stopped = [], [], []
        for _, seen, stops in offered:
            each = np.arange(len(stops))
            spent.append(seen.spent[each, stops])
            loss.append(seen.traces.final - seen.reward[each, stops])
            stopped.append(stops < seen.looks)
        return cls(
            tuple(label for label, _, _ in offered),
            tuple(seen for _, seen, _ in offered),
            tuple(stops for _, _, stops in offered),
            np.array(spent),
            np.array(loss),
            np.array(stopped),
        )

    def __add__(self, other: Settings) -> Settings:
        return Settings(
            self.labels + other.labels,
            self.watched + other.watched,
            self.stops + other.stops,
            np.vstack([self.spent, other.spent]),
            np.vstack([self.loss, other.loss]),
            np.vstack([self.stopped, other.stopped]),
        )

    def or_none(self) -> Settings:
        """These settings and, first, the one that looks at nothing: it loses nothing."""
        traces = self.watched[0].traces
        nothing = watched(traces, Watch(np.inf, 1.0))
        return Settings.of([("full", nothing, np.ones(len(traces), dtype=np.int64))]) + self

    def expected(self, known: Known, half: Half) -> Floats:
        """The loss that the head expects where each trace stops, (k, n), 0 for one that does not."""
        told = {id(one): gain for one, gain in zip(known.watched, half.gain, strict=True)}
        found = np.zeros(self.loss.shape)
        for number, (seen, stops, early) in enumerate(
            zip(self.watched, self.stops, self.stopped, strict=True)
        ):
            if early.any():
                found[number, early] = told[id(seen)][early, stops[early]]
        return found

    def chosen(
        self,
        among: NDArray[np.bool_],
        points: float = TARGET,
        caution: float = CAUTION,
        expected: Floats | None = None,
    ) -> int:
        """The setting with the fewest tokens on the traces `among` that loses at most `points` there.

        Where none does: the one that loses least. Of equals the first.
        """
        each, count = 100 * self.loss[:, among], max(1, int(among.sum()))
        loss = each.mean(axis=1)
        if expected is not None:
            loss = np.maximum(loss, 100 * expected[:, among].mean(axis=1) - TOLD_WITHIN)
        unseen = 100**2 * UNSEEN / count * self.stopped[:, among].mean(axis=1)
        loss = loss + caution * np.sqrt((each.var(axis=1) + unseen) / count)
        spent = self.spent[:, among].mean(axis=1)
        fits = loss <= points + 1e-9
        if not fits.any():
            return int(np.lexsort((spent, loss))[0])
        return int(np.argmin(np.where(fits, spent, np.inf)))

    def saved(self, setting: int, among: NDArray[np.bool_]) -> float:
        """The share of output tokens that a setting saves on the traces `among`; below 0 where looks cost more."""
        length = self.watched[setting].traces.length[among]
        return float(1 - self.spent[setting, among].sum() / length.sum())
