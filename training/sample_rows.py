"""Returned samples as rows of numbers: each seen as it would have been when it came back.

Samples are replayed in seeded orders per query and backend, with the votes so far by exact answer. Snapshots of
growing samples take part without voting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import AnswerWords
from predictors.observation import Tally
from predictors.sample_head import sample_row
from router.answering.classes import voted
from router.answers import canonical
from training.fit.rows import FitRows, LabelledSample

Floats = NDArray[np.float64]
# fold -> the last two columns of x, of regressions without this fold
Told = Mapping[int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SampleRows:
    """m samples."""

    x: NDArray[np.float32] = field(compare=False)  # (m, d) `sample_row`
    words: tuple[NDArray[np.int64], ...] = field(compare=False)  # (m,) buckets of the answer's words
    y: Floats = field(compare=False)  # (m,) rewards
    prior: Floats = field(compare=False)  # (m,) P(right) of the backend for the query
    # (m,) a query counts once per backend, however often it was sampled
    weight: Floats = field(compare=False)
    fold: NDArray[np.int64] = field(compare=False)  # (m,) of the query
    number: NDArray[np.int64] = field(compare=False)  # (m,) index into FitRows.samples
    # x ends in what a regression said that saw more: it stands for the linear member
    told: Told | None = None

    def __len__(self) -> int:
        return len(self.y)

    def taken(self, rows: NDArray[np.int64]) -> SampleRows:
        """Some of the rows, in the order given."""
        return SampleRows(
            self.x[rows],
            tuple(self.words[row] for row in rows),
            self.y[rows],
            self.prior[rows],
            self.weight[rows],
            self.fold[rows],
            self.number[rows],
            None if self.told is None else {part: said[rows] for part, said in self.told.items()},
        )

    def while_held_out(self, part: int) -> SampleRows:
        """The rows as they are seen by what is fitted without the fold `part`."""
        if self.told is None or part not in self.told:
            return self
        x = self.x.copy()
        x[:, -2:] = self.told[part]
        return replace(self, x=x)


def sample_rows(
    rows: FitRows,
    prior: Floats,
    tokens: Floats,
    folds: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    most: int | None = None,
    backends: Sequence[str] | None = None,
    first: Collection[str] = (),
) -> SampleRows:
    """`prior`, `tokens` (n, B): p_correct and expected tokens of the n queries, which are in `folds` (n,).

    `most`: a seeded choice of queries and backends with about so many samples, up to half of it for the backends
    `first`; `backends`: those of the indicator, where they are not the rows' own.
    """
    cells: dict[tuple[int, str], list[int]] = defaultdict(list)
    for number, labelled in enumerate(rows.samples):
        cells[labelled.query, labelled.sample.backend].append(number)
    keys = sorted(cells)
    if most is not None and len(rows.samples) > most:
        shares = _shares({key: len(cell) for key, cell in cells.items()}, most, first)
        drawn = zip(keys, rng.random(len(keys)).tolist(), strict=True)
        keys = [key for key, draw in drawn if draw < shares[key[1] in first]]
    named, words_of = rows.backends if backends is None else backends, AnswerWords()
    places = {backend: place for place, backend in enumerate(rows.backends)}
    x, words, numbers, known, weight, fold = [], [], [], [], [], []
    for query, backend in keys:
        cell = cells[query, backend]
        expected = float(np.nan_to_num(tokens[query, places[backend]]))
        p = float(prior[query, places[backend]])
        for number, labelled, tally, position in _drawn(cell, rows, rng):
            sample = labelled.sample
            x.append(sample_row(named, sample, rows.texts[query], tally, position, expected))
            words.append(words_of(sample.text))
            numbers.append(number)
            known.append(p)
            weight.append(1.0 / len(cell))
            fold.append(int(folds[query]))
    return SampleRows(
        np.array(x, dtype=np.float32),
        tuple(words),
        np.array([rows.samples[number].reward for number in numbers]),
        np.array(known),
        np.array(weight),
        np.array(fold, dtype=np.int64),
        np.array(numbers, dtype=np.int64),
    )


def _shares(sizes: Mapping[tuple[int, str], int], most: int, first: Collection[str]) -> tuple[float, float]:
    """Which share of (query, backend) is taken of other backends, and of those that come first."""
    total, wanted = sum(sizes.values()), sum(size for key, size in sizes.items() if key[1] in first)
    if wanted in (0, total):
        return most / total, most / total
    taken = min(wanted, max(most / 2, most * wanted / total))
    return (most - taken) / (total - wanted), taken / wanted


def _drawn(
    cell: list[int], rows: FitRows, rng: np.random.Generator
) -> list[tuple[int, LabelledSample, Tally, int]]:
    """The samples of one query and backend in a random order, each with the votes including its own."""
    found: list[tuple[int, LabelledSample, Tally, int]] = []
    classes: dict[str, int] = {}
    tally = Tally()
    for place in rng.permutation(len(cell)).tolist():
        labelled = rows.samples[cell[place]]
        sample = labelled.sample
        if not sample.finished:
            found.append((cell[place], labelled, tally, tally.drawn))
            continue
        number = None
        if sample.answer is not None:
            number = classes.setdefault(canonical(sample.answer, rows.answer_kind), len(classes))
        tally = voted(tally, sample.answer, number)
        counted = replace(labelled, sample=replace(sample, answer_class=number))
        found.append((cell[place], counted, tally, tally.drawn - 1))
    return found
