"""Whether a judge may label at all: answers that say nothing must do badly with it.

Constant answers, the same to every query, are compared with the references of a sample of queries (Zheng et al. 2024,
"Cheating Automatic LLM Benchmarks: Null Models Achieve High Win Rates"). Guessing, or always taking the first, gives
them .5. Each one must be below that beyond doubt: for a mean of n scores in [0, 1] the Chernoff bound (Hoeffding 1963,
theorem 1) gives P(mean <= m) <= exp(-n KL(m, 1/2)) where .5 is the truth, and that must be at most `ALPHA`.

When it fails: a judge may hate null answers and still prefer what is long, or its own words, among real ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from router.answering.pairwise import score_of
from training.errors import JudgeRefused, NotEnoughData
from training.judging.cache import Comparison, JudgeCache

# long, polite and empty: for a judge that likes long answers
AT_LENGTH = (
    "This is a very good question, and there are many aspects to it. It is important to consider the context "
    "carefully, to weigh the different points of view, and to think about what matters most. In the end the answer "
    "depends on the details, and it is always a good idea to look at the question step by step and from all sides "
    "before coming to a well-founded conclusion."
)
NULLS = ("I don't know.", "", AT_LENGTH)
QUERIES = 30  # at .5 a mean of .28 is then needed
CHANCE, ALPHA = 0.5, 0.05
MOST_UNCLEAR = 0.2  # share of pairs without a clear verdict in both orders


def guard_pairs(references: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(query, null answer, reference) of the sample; `references`: query -> its reference.

    Raises `NotEnoughData` where so few queries have one that nothing could be shown.
    """
    usable = [query for query, reference in references.items() if reference not in NULLS]
    chosen = sorted(usable, key=_place)[:QUERIES]
    if not below_chance([0.0] * len(chosen)):
        raise NotEnoughData(
            f"judge: {len(chosen)} queries have a reference; at least 5 are needed to test it"
        )
    return [(query, null, references[query]) for null in NULLS for query in chosen]


def orders(pairs: Iterable[tuple[str, str, str]]) -> list[Comparison]:
    """Both orders of (query, answer, reference)."""
    return [
        Comparison(query, *both)
        for query, answer, reference in pairs
        for both in ((answer, reference), (reference, answer))
    ]


def pair_score(cache: JudgeCache, query: str, answer: str, reference: str, tie: float) -> float | None:
    """The score of an answered pair; None where one of its orders has no clear verdict."""
    one = cache.get(Comparison(query, answer, reference))
    other = cache.get(Comparison(query, reference, answer))
    if one is None or other is None or one.said is None or other.said is None:
        return None
    return score_of(one.said, other.said, tie)


def check_nulls(model: str, pairs: Sequence[tuple[str, str, str]], cache: JudgeCache) -> dict[str, float]:
    """The mean score of every null answer. Raises `JudgeRefused` where one is not clearly below chance."""
    scores = {null: [pair_score(cache, *pair, CHANCE) for pair in pairs if pair[1] == null] for null in NULLS}
    clear = {null: [score for score in found if score is not None] for null, found in scores.items()}
    unclear = len(pairs) - sum(map(len, clear.values()))
    if unclear > MOST_UNCLEAR * len(pairs):
        raise JudgeRefused(
            f"judge {model!r} gives no clear verdict in {unclear} of {len(pairs)} test comparisons; "
            "it must reply FIRST, SECOND or TIE (one that thinks needs a larger max_tokens)",
            {},
        )
    means = {null: sum(found) / len(found) if found else CHANCE for null, found in clear.items()}
    if not all(below_chance(found) for found in clear.values()):
        said = ", ".join(f"{_named(null)} scores {mean:.2f}" for null, mean in means.items())
        raise JudgeRefused(
            f"judge {model!r} cannot label: against the references of {len(pairs) // len(NULLS)} queries {said}; "
            f"answers that say nothing must be clearly below {CHANCE}. Take another judge, or `agrees`",
            means,
        )
    return means


def below_chance(scores: Sequence[float]) -> bool:
    """Whether the mean of scores in [0, 1] is below .5 at level `ALPHA`."""
    if not scores:
        return False
    mean = sum(scores) / len(scores)
    if mean >= CHANCE:
        return False
    parts = [share * math.log(share / CHANCE) for share in (mean, 1 - mean) if share > 0]
    return len(scores) * sum(parts) >= -math.log(ALPHA)


def _place(query: str) -> bytes:
    return blake2b(query.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _named(null: str) -> str:
    return repr(null if len(null) <= 40 else f"{null[:37]}…")
