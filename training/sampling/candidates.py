"""The settings that a subject offers, and which of them a tuning half would take.

The setting that looks best on the tuning half is partly the luckiest there: the more settings, the more luck. How much
less the tuning half shows than will be lost is estimated on it alone, by Efron's bootstrap (1983): choose on resamples
of its queries as one would on it, and see how much more the chosen settings lose on the half itself than they showed.

Among whole families of settings the same luck would rule if the one that looks cheapest on the half were taken. So a
rival is taken only if it also draws fewer samples on average when both choose on resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.sampling.runs import Runs

Floats = NDArray[np.float64]
RESAMPLES = 50
MARGIN = 0.25  # standard errors of a careful choice


@dataclass(frozen=True, slots=True)
class Candidates:
    """k settings for n queries."""

    labels: tuple[str, ...]
    samples: Floats = field(compare=False)  # (k, n) drawn, mean over permutations
    right: Floats = field(compare=False)  # (k, n)
    # (setting, permutation) -> samples drawn, (n,) in [1, N]
    stops: Callable[[int, int], NDArray[np.int16]] = field(compare=False)
    default: int | None = None  # the setting without tuning
    careful: bool = False  # what luck hides, and a margin, are added to the loss on the tuning half
    # (setting, permutation) -> arrival of the sample that answers, (n,); None: the majority's
    speaks: Callable[[int, int], NDArray[np.int64]] | None = field(default=None, compare=False)
    rivals: tuple[Candidates, ...] = ()  # of other rules, any of which may be taken in the place of these

    @classmethod
    def of(
        cls, runs: Runs, labels: tuple[str, ...], stops: NDArray[np.integer], default: int | None = None
    ) -> Candidates:
        """Of `stops` (k, R, n) over all permutations of `runs`."""
        narrow = stops.astype(np.min_scalar_type(-runs.problem.most - 1))  # kept for as long as the problem
        right = np.stack([runs.right_at(one).mean(axis=0, dtype=np.float64) for one in narrow])
        return cls(
            labels,
            narrow.mean(axis=1, dtype=np.float64),
            right,
            lambda setting, permutation: narrow[setting, permutation].astype(np.int16),
            default,
        )

    def with_care(self) -> Candidates:
        """The same, chosen among with care."""
        return replace(self, careful=True)

    def chosen(self, tuning: NDArray[np.bool_], reference: Floats, points: float) -> int:
        """The setting with the fewest samples on the tuning half that loses at most `points` against `reference` (n,).

        Where none does, the one that loses least; of equals the first. Rivals are not looked at.
        """
        return self.shown(tuning, reference, points).setting

    def taken(self, tuning: NDArray[np.bool_], reference: Floats, points: float) -> tuple[Candidates, int]:
        """The same among all: (these or a rival, the setting chosen of it)."""
        shown = [one.shown(tuning, reference, points) for one in (self, *self.rivals)]
        if not self.rivals:
            return self, shown[0].setting
        again = [one.drawn_again(points) for one in shown]
        best = int(np.argmin(again))  # of equals these
        if shown[best].drawn >= shown[0].drawn:
            best = 0
        return (self, *self.rivals)[best], shown[best].setting

    def shown(self, tuning: NDArray[np.bool_], reference: Floats, points: float) -> Shown:
        """What a tuning half shows of these, as `chosen` looks at it."""
        each = 100 * (reference[tuning] - self.right[:, tuning])  # (k, tuned)
        samples = self.samples[:, tuning]
        care = np.zeros(len(each))
        if self.careful:
            care = luck(each, samples, points) + MARGIN * each.std(axis=1) / each.shape[1] ** 0.5
        return Shown(each, samples, care, fewest(each.mean(axis=1) + care, samples.mean(axis=1), points))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a tuning half shows of k settings, and the one chosen on it."""

    loss: Floats = field(compare=False)  # (k, tuned) points
    samples: Floats = field(compare=False)  # (k, tuned)
    care: Floats = field(compare=False)  # (k,) points that are added
    setting: int

    @property
    def drawn(self) -> float:
        """Samples of the chosen one."""
        return float(self.samples[self.setting].mean())

    def drawn_again(self, points: float) -> float:
        """Samples on the half of what is chosen on resamples of it."""
        weight = resampled(self.loss.shape[1])
        shown, drawn = weight @ self.loss.T + self.care, weight @ self.samples.T
        picked = [fewest(*one, points) for one in zip(shown, drawn, strict=True)]
        return float(self.samples.mean(axis=1)[picked].mean())


def fewest(loss: Floats, samples: Floats, points: float) -> int:
    """The fewest `samples` (k,) of those that lose at most `points`; where none does, the least loss."""
    fits = loss <= points + 1e-9
    if not fits.any():
        return int(np.lexsort((samples, loss))[0])
    return int(np.argmin(np.where(fits, samples, np.inf)))


def luck(loss: Floats, samples: Floats, points: float) -> float:
    """Points that the setting chosen on these queries loses beyond what it shows there, >= 0; both (k, n).

    Fails with few queries: resamples of a dozen are no picture of what other queries would be like; and it sees some
    half of what is hidden where the settings' losses have nothing in common (those of votes mostly have).
    """
    weight = resampled(loss.shape[1])
    shown, drawn, really = weight @ loss.T, weight @ samples.T, loss.mean(axis=1)
    picked = [fewest(*one, points) for one in zip(shown, drawn, strict=True)]
    return max(0.0, float(np.mean(really[picked] - shown[np.arange(RESAMPLES), picked])))


def resampled(count: int) -> Floats:
    """Shares of so many queries in each resample, (RESAMPLES, count): the same for every subject of a split."""
    return np.random.default_rng(count).multinomial(count, [1 / count] * count, RESAMPLES) / count
