"""How long every rule takes to decide, in microseconds per sample up to 100 samples: run it by hand, it asserts nothing.

python tests/router/stopping/cost_of_deciding.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.plugins import resolve
from router.stopping import STOPPING_RULES
from router.stopping.learned_stop import LearnedStop

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
SIGNALS = {"p_correct/small": 0.6, "p_two_correct/small": 0.45, "price": 100.0, "sample_cost/small": 50.0}


def courses(count: int, length: int) -> list[list[Observation]]:
    """Observations after each sample of some runs over five answers, as the allocator hands them out."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        classes = rng.choice(5, length, p=rng.dirichlet([2, 1, 1, 0.5, 0.5])).tolist()
        order = list(dict.fromkeys(classes))
        samples = tuple(
            Sample(f"0.{at}", "small", index=at, answer_class=order.index(one))
            for at, one in enumerate(classes)
        )
        course = []
        for drawn in range(1, length + 1):
            seen = classes[:drawn]
            counts = tuple(seen.count(one) for one in order if one in seen)
            tally = Tally(counts, tuple(map(str, counts)), drawn)
            course.append(Observation(QUERY, samples[:drawn], tally=tally, max_samples=length))
        made.append(course)
    return made


def main() -> None:
    """Print the median and the 99th percentile of each rule."""
    runs = courses(40, 100)
    confidences = {f"sample_confidence/0.{at}": 0.3 + 0.6 * (at % 7) / 7 for at in range(100)}
    confidences |= {f"self_eval/0.{at}": 0.1 + 0.6 * (at % 7) / 7 for at in range(100)}
    rules = {name: resolve("stopping rule", STOPPING_RULES, name)() for name in STOPPING_RULES}
    rules["learned_stop (fitted)"] = LearnedStop(
        (0.51306, -0.33529, 0.034137, -0.13514, -0.034534, -0.093379, 0.062884, -0.057771, 0.015781)
    )
    told = SIGNALS | confidences
    for name, rule in rules.items():
        took = []
        for course in runs:
            for seen in course:
                started = time.perf_counter_ns()
                rule.verdict(seen, told)
                took.append((time.perf_counter_ns() - started) / 1000)
        print(f"{name:22} median {statistics.median(took):7.1f}   p99 {np.percentile(took, 99):9.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
