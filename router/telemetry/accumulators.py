"""Numbers that only grow, by labels: no locks, because one event loop writes and reads them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[str, ...]
OTHER = "other"


@dataclass(slots=True)
class Names:
    """The first `most` names are themselves, every later one is `other`: a label that callers write has an end."""

    most: int
    known: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        """The label for a name."""
        label = self.known.get(name)
        if label is None:
            if len(self.known) >= self.most:
                return OTHER
            label = self.known[name] = name
        return label


@dataclass(slots=True)
class Counts:
    """A sum per labels."""

    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Add to one of them."""
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def join(self, other: Counts) -> None:
        """Add another's."""
        for labels, amount in other.values.items():
            self.add(labels, amount)

    def items(self) -> Iterator[tuple[Labels, float]]:
        """By labels."""
        return iter(sorted(self.values.items()))


@dataclass(slots=True)
class Mean:
    """How many values, and their sum."""

    count: float = 0.0
    total: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """One more."""
        self.count += weight
        self.total += value * weight

    def join(self, other: Mean) -> None:
        """Add another's."""
        self.count += other.count
        self.total += other.total


@dataclass(slots=True)
class Means:
    """A count and a sum per labels."""

    values: dict[Labels, Mean] = field(default_factory=dict)

    def add(self, labels: Labels, value: float, weight: float = 1.0) -> None:
        """One more value."""
        mean = self.values.get(labels)
        if mean is None:
            mean = self.values[labels] = Mean()
        mean.add(value, weight)

    def join(self, other: Means) -> None:
        """Add another's."""
        for labels, mean in other.values.items():
            self.values.setdefault(labels, Mean()).join(mean)

    def items(self) -> Iterator[tuple[Labels, Mean]]:
        """By labels."""
        return iter(sorted(self.values.items(), key=lambda item: item[0]))


@dataclass(slots=True)
class Bars:
    """One histogram: `counts[i]` values are <= `bounds[i]` and above the bound before; the last is beyond all."""

    counts: list[int]
    total: float = 0.0

    def add(self, bounds: tuple[float, ...], value: float) -> None:
        """One more value."""
        self.counts[bisect_left(bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Histograms:
    """A histogram per labels, all with the same bounds (ascending)."""

    bounds: tuple[float, ...]
    values: dict[Labels, Bars] = field(default_factory=dict)

    def add(self, labels: Labels, value: float) -> None:
        """One more value."""
        bars = self.values.get(labels)
        if bars is None:
            bars = self.values[labels] = Bars([0] * (len(self.bounds) + 1))
        bars.add(self.bounds, value)

    def join(self, other: Histograms) -> None:
        """Add another's, of the same bounds."""
        for labels, bars in other.values.items():
            mine = self.values.setdefault(labels, Bars([0] * (len(self.bounds) + 1)))
            mine.counts = [one + more for one, more in zip(mine.counts, bars.counts, strict=True)]
            mine.total += bars.total

    def items(self) -> Iterator[tuple[Labels, Bars]]:
        """By labels."""
        return iter(sorted(self.values.items(), key=lambda item: item[0]))


Accumulated = Counts | Means | Histograms
Read = Mapping[Labels, float]
"""What is read when somebody asks: a value per labels; labels that are not there have none (which is not 0)."""
