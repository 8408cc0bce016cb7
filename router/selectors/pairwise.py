"""The answer that wins most comparisons, two at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from predictors.observation import Message, Part, Query, Sample, Signals, Tally
from router.answering.pairwise import SYSTEM, preferred, question, score_of
from router.domain.asking import BYTES, Asks, Question, shortened
from router.errors import ConfigError
from router.selectors import Selection, Selector
from router.selectors.majority import Majority
from router.selectors.vote_groups import Key, by_class, ranked_answers

ROUNDS = 100  # of the fit; it converges linearly, and four answers need some twenty
_MARKS_BYTES = 400  # of the words and marks around the texts


@dataclass(frozen=True, slots=True)
class Pairwise(Selector):
    """The `candidates` most frequent answers, each pair shown to `backend` in both orders; Bradley-Terry strengths.

    Peer-ranked consensus (Fortytwo, 2025) with one ranker: P(i beats j) = s_i / (s_i + s_j), fitted to the wins (a
    pair won in one order only is a tie, half a win each) with one further tie of everybody against an answer of
    strength 1, so that the fit exists. Strongest first; of equals the one with more votes. The confidence is the
    strength's share of all. Answers that were not compared come after, by votes; one answer alone is not compared.

    k candidates are k (k - 1) side calls to `backend`, reserved, charged and counted there. Pairs of which a reply is
    missing or unclear do not count; without any it is the majority. Fails where the ranker prefers a style, and where
    most votes are right: it does not look at them.
    """

    backend: str = field(default="", metadata={"required": True})
    candidates: int = 3  # answers that are compared, >= 2
    max_tokens: int = 16  # of a verdict
    longest: int = BYTES  # of the question and of an answer

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ConfigError(f"pairwise: candidates must be at least 2, got {self.candidates}")
        if self.max_tokens < 1 or not 100 <= self.longest <= 8000:
            raise ConfigError("pairwise: max_tokens must be at least 1, longest in [100, 8000]")

    @property
    def asks(self) -> Asks:
        """Two calls for each pair."""
        return Asks(
            self.backend,
            self.candidates * (self.candidates - 1),
            self.max_tokens,
            len(SYSTEM.encode()) + _MARKS_BYTES + 3 * self.longest,
        )

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The majority: nobody is asked."""
        return Majority().select(samples, tally, signals)

    def questions(
        self, query: Query, samples: Sequence[Sample], tally: Tally, signals: Signals
    ) -> Generator[tuple[Question, ...], tuple[Sample | None, ...], Selection]:
        """All pairs at once, each in both orders."""
        unranked = self.select(samples, tally, signals)
        groups = by_class(samples)
        if len(groups) < 2:
            return unranked
        shown = unranked.samples[: min(self.candidates, len(groups))]
        pairs = list(combinations(range(len(shown)), 2))
        orders = [order for one, other in pairs for order in ((one, other), (other, one))]
        replies = yield tuple(self._question(query, shown[first], shown[second]) for first, second in orders)
        said = [None if reply is None else preferred(reply.text) for reply in replies]
        wins = [[0.0] * len(shown) for _ in shown]
        for pair, (one, other) in enumerate(pairs):
            forth, back = said[2 * pair], said[2 * pair + 1]
            if forth is not None and back is not None:
                score = score_of(forth, back)
                wins[one][other] += score
                wins[other][one] += 1 - score
        if not any(map(any, wins)):
            return unranked
        strength: dict[Key, float] = dict(
            zip((sample.answer_class for sample in shown), strengths(wins), strict=True)
        )
        ordered: dict[Key, list[Sample]] = {
            sample.answer_class: groups[sample.answer_class] for sample in unranked.samples[: len(groups)]
        }
        score_by: dict[Key, float] = {key: strength.get(key, 0.0) for key in ordered}
        return ranked_answers(samples, ordered, score_by, {})

    def _question(self, query: Query, first: Sample, second: Sample) -> Question:
        words = question(*(shortened(text, self.longest) for text in (query.text, first.text, second.text)))
        return Question(
            Query(
                "pairwise", (Message("system", (Part(text=SYSTEM),)), Message("user", (Part(text=words),)))
            ),
            self.max_tokens,
        )


def strengths(wins: Sequence[Sequence[float]]) -> list[float]:
    """Bradley-Terry strengths of `wins[i][j]` (i over j), > 0, by minorisation-maximisation (Hunter 2004).

    >>> [round(value, 3) for value in strengths([[0, 1], [0, 0]])]
    [2.13, 0.469]
    """
    many = range(len(wins))
    found = [1.0 for _ in many]
    total = [0.5 + sum(wins[i][j] for j in many) for i in many]
    for _ in range(ROUNDS):
        found = [
            total[i]
            / (
                1 / (found[i] + 1)
                + sum((wins[i][j] + wins[j][i]) / (found[i] + found[j]) for j in many if j != i)
            )
            for i in many
        ]
    return found
