"""The promotion gate against known truth: bad, better, and night after night equal candidates (`make gate-proof`).

Logs are drawn under the incumbent mixed with exploration. Better candidates gain the margin and 3.2 standard errors of
the gate's own paired estimate (measured on pilot logs). Nights share rows: each looks at the last five nights' log.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from router.recording import Recording
from training.off_policy.alpha_spending import AlphaSpending
from training.off_policy.estimate import difference
from training.off_policy.gate import Terms, Verdict, gate
from training.off_policy.logged import Ints, LoggedRows
from training.suites.ope.candidates import BAD, Candidate, as_policy, better, diluted, equal, named
from training.suites.ope.log import Drawn, draw_log, explored
from training.suites.ope.world import World, world_of

EPSILON = 0.2
ROWS = 20_000
NIGHT, NIGHTS_SEEN = 2_000, 5
SUBTLE = (-0.010, -0.020)  # what a subtle bad candidate loses
ERRORS_ABOVE = 3.2  # standard errors
PILOTS = 2
CHURN = 0.03  # of the queries
MOST_TRIES = 20
HOUSE = Path(__file__).parents[2] / "recordings" / "house"


@dataclass(frozen=True, slots=True)
class Tried:
    """One test of the gate, and the truth."""

    kind: str
    gain: float  # true, points
    predicted: float  # points
    lower: float  # points
    errors_above: float  # (true gain - margin) / standard error
    promoted: bool
    reasons: tuple[str, ...]


def tried(candidate: Candidate, verdict: Verdict) -> Tried:
    """Beside each other."""
    error = verdict.gain.interval.standard_error
    return Tried(
        kind=candidate.kind,
        gain=100 * candidate.gain,
        predicted=100 * verdict.gain.value,
        lower=100 * verdict.lower,
        errors_above=(candidate.gain - verdict.margin) / error if error > 0 else float("nan"),
        promoted=verdict.promote,
        reasons=verdict.reasons,
    )


def drawn_log(world: World, rng: np.random.Generator, n: int = ROWS) -> Drawn:
    """Under the incumbent with exploration."""
    return draw_log(world, explored(as_policy(world, world.target), EPSILON), n, rng)


def ask(
    world: World, drawn: Drawn, choice: Ints, terms: Terms, spending: AlphaSpending | None = None
) -> Verdict:
    """The gate's verdict on one candidate; without `spending`: the first test of a reign."""
    return gate(
        drawn.logged,
        as_policy(world, choice)[drawn.query],
        as_policy(world, world.target)[drawn.query],
        spending=spending or AlphaSpending(),
        terms=terms,
        price=world.price,
    )


def bad_candidates(world: World, count: int, seed: int) -> list[Candidate]:
    """`count` of them, the kinds in turn; every other turn of all kinds is subtle. All are worse, in truth.

    A kind that is not worse on this recording (all backends cost the same: no price to mistake) is left out.
    """
    found: list[Candidate] = []
    kinds, number, tries = list(BAD), 0, 0
    while len(found) < count and kinds:
        kind = kinds[number % len(kinds)]
        rng = np.random.default_rng([seed, 1, number, tries])
        choice = BAD[kind](world, rng)
        if number // len(kinds) % 2 == 0:
            choice = diluted(world, choice, rng.uniform(SUBTLE[1], SUBTLE[0]), rng)
        candidate = named(world, kind, choice)
        tries += 1
        if candidate.gain < SUBTLE[0] * 0.99:
            found.append(candidate)
            number, tries = number + 1, 0
        elif tries > MOST_TRIES:
            kinds.remove(kind)
            tries = 0
    return found


def better_candidate(world: World, terms: Terms, seed: int, number: int) -> Candidate:
    """One whose true gain is the margin and `ERRORS_ABOVE` standard errors, as pilot logs show them.

    On some queries it does something else for no gain at all, as whatever is fitted anew does.
    """
    oracle = better(world)
    churned = equal(world, np.random.default_rng([seed, 8, number]), CHURN)

    def gaining(gain: float) -> Ints:
        return diluted(world, oracle, gain, np.random.default_rng([seed, 2, number]), churned)

    target = terms.margin + 0.02
    for _ in range(3):  # the error depends on how much is changed
        choice = gaining(target)
        errors = [
            _error(world, choice, np.random.default_rng([seed, 3, number, pilot])) for pilot in range(PILOTS)
        ]
        target = terms.margin + ERRORS_ABOVE * float(np.mean(errors))
    return named(world, "better", gaining(target))


def _error(world: World, choice: Ints, rng: np.random.Generator) -> float:
    drawn = drawn_log(world, rng)
    value = np.asarray(drawn.logged.reward - world.price * drawn.logged.cost)
    pair = as_policy(world, choice)[drawn.query], as_policy(world, world.target)[drawn.query]
    return difference(drawn.logged, *pair, value).interval.standard_error


def try_bad(world: World, count: int, terms: Terms, seed: int) -> list[Tried]:
    """Each on a log of its own, as the first test of a reign (where the level is largest)."""
    return [
        tried(
            one,
            ask(world, drawn_log(world, np.random.default_rng([seed, 4, number])), one.choice, terms),
        )
        for number, one in enumerate(bad_candidates(world, count, seed))
    ]


def try_better(world: World, count: int, terms: Terms, seed: int) -> list[Tried]:
    """The same of better ones."""
    found = []
    for number in range(count):
        one = better_candidate(world, terms, seed, number)
        drawn = drawn_log(world, np.random.default_rng([seed, 5, number]))
        found.append(tried(one, ask(world, drawn, one.choice, terms)))
    return found


def try_nights(world: World, nights: int, terms: Terms, seed: int) -> list[Tried]:
    """One equal candidate after another, on logs that share rows; what is spent goes from night to night."""
    spending, found = AlphaSpending(), []
    rows: list[Drawn] = [
        drawn_log(world, np.random.default_rng([seed, 6, night]), NIGHT)
        for night in range(nights + NIGHTS_SEEN - 1)
    ]
    for night in range(nights):
        one = named(world, "equal", equal(world, np.random.default_rng([seed, 7, night])))
        verdict = ask(world, joined(rows[night : night + NIGHTS_SEEN]), one.choice, terms, spending)
        spending = verdict.spending
        found.append(tried(one, verdict))
    return found


def joined(parts: list[Drawn]) -> Drawn:
    """Several nights as one log."""
    logged = LoggedRows.joined([part.logged for part in parts])
    return Drawn(logged, np.concatenate([part.query for part in parts]))


def gate_proof(
    recording: Annotated[Path, typer.Option(help="Folder of a recording.")] = HOUSE,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    margin: Annotated[float, typer.Option(help="Value per query that a change must be worth.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Every test as JSON.")] = False,
) -> None:
    """Put 40 bad, 20 better and 50 equal candidates to the gate; exit with 1 where it fails its promise."""
    terms = Terms(margin=margin)
    world = world_of(Recording.load(recording), seed)
    bad = try_bad(world, 40, terms, seed)
    good = try_better(world, 20, terms, seed)
    nights = try_nights(world, 50, terms, seed)
    if as_json:
        print(json.dumps([asdict(one) for one in (*bad, *good, *nights)]))
    else:
        print(table(world, bad, good, nights))
    counts = [sum(one.promoted for one in part) for part in (bad, good, nights)]
    sys.exit(int(counts[0] > 0 or counts[1] < 16 or counts[2] > 2))


def table(world: World, bad: list[Tried], good: list[Tried], nights: list[Tried]) -> str:
    """One line per kind of candidate."""
    lines = [f"{world.name}: {len(world)} queries, exploration {EPSILON:g}, {ROWS} rows; gains in points"]
    lines.append(f"{'candidates':<28}{'tried':>6}{'promoted':>9}{'true gain':>18}{'predicted':>18}")
    subtle = [one for one in bad if one.gain >= 100 * SUBTLE[1] - 0.1]
    groups = [(kind, [one for one in bad if one.kind == kind]) for kind in BAD]
    groups += [
        ("of these 1 to 2 points worse", subtle),
        ("better by 3 errors", good),
        ("equal, nightly", nights),
    ]
    for name, part in groups:
        if not part:
            continue
        promoted = sum(one.promoted for one in part)
        gains, predicted = [one.gain for one in part], [one.predicted for one in part]
        spans = "".join(f"{min(some):>9.2f} to {max(some):5.2f}" for some in (gains, predicted))
        lines.append(f"{name:<28}{len(part):>6}{promoted:>9}{spans}")
    why = Counter(one.reasons[0].split(":")[0].split(" ")[0] for one in good if one.reasons)
    if why:
        lines.append(f"why better ones were not: {dict(why)}")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(gate_proof)
