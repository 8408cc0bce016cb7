"""Decisions like those that a service with two backends, five plans and a bundle logs; the same for the same seed.

Row `n` depends on the seed and on `n` alone, so that any part of a log can be made by itself.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from router.configuration.build_plans import build_plans
from router.configuration.problems import Problems
from router.configuration.sections import read_config
from router.domain.decision import Decision, Keep, Mode, Outcome, SampleRecord, Status
from router.domain.usage import Usage

BACKENDS = ("small", "large")
PLANS = ("small", "large", "small-vote", "large-vote", "cascade")
FEATURES = 129  # as many as the features of a query have without an embedding
FLOOR = 0.02  # of every plan's probability, as in MENU
PER_DAY = 100_000
START = 1_790_000_000.0  # seconds since the epoch
MENU = """
price = 1000.0
policy = { kind = "softmax", explore = 0.4, temperature = 0.2, floor = 0.02 }
bundles = "bundles"
[backends.small]
kind = "scripted"
price_out = 0.32
max_tokens = 256
[backends.large]
kind = "scripted"
price_out = 3.2
max_tokens = 256
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
[[plans]]
name = "small-vote"
stages = [{ backend = "small", max_samples = 3, width = 3 }]
[[plans]]
name = "large-vote"
stages = [{ backend = "large", max_samples = 3, width = 3 }]
[[plans]]
name = "cascade"
stages = [{ backend = "small", stop = { kind = "confident", threshold = 0.8 } }, { backend = "large" }]
[store]
keep = "full"
"""  # of the service that would have logged them
WORDS = (
    "how",
    "many",
    "litres",
    "does",
    "the",
    "tank",
    "hold",
    "when",
    "three",
    "pumps",
    "run",
    "at",
    "half",
    "speed",
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Whose rows they are."""

    seed: int = 0
    keep: Keep = Keep.FULL
    tenants: int = 5
    replica: str = "made-00000000"

    def decision(self, n: int) -> Decision:
        """The decision number `n`, from 0."""
        random = np.random.default_rng((self.seed, n))
        drawn = random.random(64)
        probabilities = FLOOR + (1 - len(PLANS) * FLOOR) * drawn[1:6] / drawn[1:6].sum()
        plan = PLANS[int((drawn[0] > probabilities.cumsum()[:-1]).sum())]
        backend = "large" if "large" in plan else "small"
        full = self.keep is Keep.FULL
        samples = tuple(
            _sample(index, backend, drawn[8 + 4 * index :], full=full)
            for index in range(3 if plan.endswith("vote") else 1)
        )
        cost = float(sum(sample.tokens_out for sample in samples)) * 0.32
        text = " ".join(WORDS[int(part * len(WORDS))] for part in drawn[30:54]) + f" ({n})?"
        return Decision(
            decision_id=self.decision_id(n),
            request_id=hashlib.blake2b(f"r{self.seed}/{n}".encode(), digest_size=16).hexdigest(),
            replica=self.replica,
            sequence=n + 1,
            created_at=self.created_at(n),
            tenant=self.tenant(n),
            session_id="",
            mode=Mode.APPLY,
            policy="softmax",
            bundle="95f409103f1d93d7",
            price=95000.0,
            plan=plan,
            digest=digests()[plan],
            propensity=float(probabilities[PLANS.index(plan)]),
            probabilities=dict(zip(PLANS, map(float, probabilities), strict=True)),
            digests=digests(),
            explored=bool(drawn[6] < 0.1),
            usable=True,
            signals=_signals(random.random(36), len(samples)),
            features=_features(random),
            samples=samples,
            status=Status.ANSWERED,
            stop_reason="exhausted" if drawn[7] < 0.5 else "enough: majority_certificate",
            answer=samples[0].answer,
            answer_text=samples[0].text,
            confidence=float(drawn[8]),
            usage={backend: Usage(90 * len(samples), 60, 40 * len(samples), 0, 0, len(samples))},
            cost=cost,
            costs={backend: cost},
            reserved=328,
            charged=round(cost),
            latency_s=float(drawn[9]),
            first_text_s=float(drawn[9] / 2),
            query_hash=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            query_text=text if full else None,
            forecasts={
                name: (float(drawn[at]), 20.0 * float(drawn[at + 5])) for at, name in enumerate(PLANS, 40)
            },
        )

    def outcome(self, n: int) -> Outcome:
        """An outcome of the decision number `n`: right with the chance that its answer's plan gives."""
        return self.told(n, value=self.right(n, self.decision(n)))

    def right(self, n: int, made: Decision) -> bool:
        """Whether the user was content: oftener with the large model, and seldom with the small one about speeds."""
        hard = (made.query_text or "").count("speed") >= 2
        chance = 0.8 if "large" in made.plan else 0.3 if hard else 0.6
        return bool(np.random.default_rng((self.seed, n, 1)).random() < chance)

    def told(self, n: int, *, value: bool) -> Outcome:
        """What a user said of the decision number `n`."""
        key = hashlib.blake2b(f"o{self.seed}/{n}".encode(), digest_size=16).hexdigest()
        return Outcome(
            outcome_id=key,
            metric="correct",
            value=value,
            kind="bool",
            decision_id=self.decision_id(n),
            source="user",
            observed_at=self.created_at(n) + 60.0,
            key=key,
            tenant=self.tenant(n),
        )

    def decision_id(self, n: int) -> str:
        """Ids as the service makes them: by time, then by chance."""
        chance = hashlib.blake2b(f"d{self.seed}/{n}".encode(), digest_size=10).hexdigest()
        return f"{int(self.created_at(n) * 1000):012x}{chance}"

    def created_at(self, n: int) -> float:
        """Seconds since the epoch: an even stream."""
        return START + n * 86_400.0 / PER_DAY

    def tenant(self, n: int) -> str:
        """Tenants take turns."""
        return f"tenant-{n % self.tenants}"


@cache
def digests() -> dict[str, str]:
    """Of the plans; shared by all rows."""
    return {
        name: plan.digest for name, plan in build_plans(read_config(tomllib.loads(MENU), Problems())).items()
    }


@cache
def _signal_names(samples: int) -> tuple[str, ...]:
    heads = ("p_correct", "p_two_correct", "tokens_out", "tokens_out_p90", "reward", "going_on")
    tables = ("plan_quality", "table_quality", "helps", "plan_samples")
    names = [f"{head}/{backend}" for backend in BACKENDS for head in heads]
    names += [f"{head}/{plan}" for plan in PLANS for head in tables]
    return (*names, "sample_confidence", *(f"sample_confidence/0.{index}" for index in range(samples)))


def _signals(values: NDArray[np.float64], samples: int) -> dict[str, float]:
    return dict(zip(_signal_names(samples), map(float, values), strict=False))


def _features(random: np.random.Generator) -> bytes:
    """Most features of a text are 0."""
    values = np.zeros(FEATURES, dtype="<f4")
    values[random.choice(FEATURES, 28, replace=False)] = random.random(28)
    return values.tobytes()


def _sample(index: int, backend: str, drawn: NDArray[np.float64], *, full: bool) -> SampleRecord:
    answer = str(int(drawn[0] * 90))
    return SampleRecord(
        sample_id=f"0.{index}",
        backend=backend,
        stage=0,
        index=index,
        finish_reason="stop",
        tokens_in=90,
        tokens_cached=60,
        tokens_out=20 + int(drawn[1] * 40),
        mean_logprob=-float(drawn[2]),
        first_entropy=float(drawn[3]),
        confidence=float(drawn[0]),
        latency_s=float(drawn[1]) / 10,
        answer=answer if full else None,
        answer_class=index,
        text=f"Three pumps give three times as much, so that the answer is {answer}." if full else None,
    )
