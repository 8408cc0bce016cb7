"""Whether the plans of a configuration can do what they say: stages that are reached, rules that can be satisfied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from predictors.observation import Message, Observation, Query, Sample, Tally
from router.config import Config, StageConfig
from router.configuration.build_plans import build_stage, named_verifiers
from router.configuration.places import Path
from router.configuration.problems import Problems, unknown
from router.domain.asking import asks_of
from router.domain.plan import Gate, Plan, Stage
from router.domain.verdict import Action
from router.verifiers import VERIFIERS

# samples after which a rule that was not satisfied is taken to be about something else than counts
_MANY = 256
NOT_LIVE = "this verifier needs {}, which a live query does not have; use it in `apportion grade`"
_PROBABILITIES = ("p_correct/", "p_two_correct/", "plan_quality/", "sample_confidence")
_NOBODY = Query("", (Message("user"),))


def check_plans(config: Config, plans: Mapping[str, Plan], problems: Problems) -> None:
    """Note what is impossible in `plans`, which were built from `config`."""
    if not config.plans and not problems.touch(("plans",)):
        problems.add((), "there are no plans; a table [[plans]] with name and stages says what may be done")
    check_verifiers(config, problems)
    first_of: dict[str, str] = {}
    for index, written in enumerate(config.plans):
        path: Path = ("plans", index)
        if not problems.touch((*path, "name")) and (
            not written.name.strip() or not written.name.isprintable()
        ):
            problems.add((*path, "name"), f"a plan's name is printable text, got {written.name!r}")
        for number, stage in enumerate(written.stages):
            stage_path: Path = (*path, "stages", number)
            _check_numbers(stage, config, stage_path, problems)
            built = build_stage(stage, config, stage_path, Problems())  # its own problems are noted already
            if built is not None:
                followed = number + 1 < len(written.stages)
                _check_stage(built, config, stage_path, problems, followed=followed)
        plan = plans.get(written.name)
        if plan is None or problems.touch(path):
            continue
        twin = first_of.setdefault(plan.digest, plan.name)
        if twin != plan.name:
            text = (
                f"plan {plan.name!r} does exactly what plan {twin!r} does (digest {plan.digest}); remove one"
            )
            problems.add(path, text)


def check_verifiers(config: Config, problems: Problems) -> None:
    """Note verifiers of [verifiers] that hide one of the table, or that no live query can use."""
    for name, verifier in named_verifiers(config, Problems()).items():
        path: Path = ("verifiers", name)
        if not name.strip() or not name.isprintable():
            problems.add(path, f"a verifier's name is printable text, got {name!r}")
        if name in VERIFIERS:
            problems.add(path, f"{name!r} is the name of a kind of verifier; choose another")
        if verifier.needs:
            problems.add(path, NOT_LIVE.format(verifier.needs))


def check_signal(name: str, config: Config, path: Path, problems: Problems) -> None:
    """Note a signal that is about a backend or plan which does not exist; other signals may come from a bundle."""
    what, _, about = name.partition("/")
    plans = [plan.name for plan in config.plans]
    if what in {"p_correct", "p_two_correct", "tokens_in", "tokens_out"} and about not in config.backends:
        problems.add(path, unknown(f"backend in signal {name!r}:", about, config.backends))
    elif what == "gain" and not any(
        f"{a}/{b}" == about for a in config.backends for b in config.backends if a != b
    ):
        pairs = [f"{a}/{b}" for a in config.backends for b in config.backends if a != b]
        problems.add(path, unknown(f"pair of backends in signal {name!r}:", about, pairs))
    elif what == "plan_quality" and about not in plans:
        problems.add(path, unknown(f"plan in signal {name!r}:", about, plans))


def signals_of(plugin: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """The names in options called `signal`, also of the plug-ins inside of a plug-in."""
    if isinstance(plugin, tuple):
        for index, item in enumerate(plugin):
            yield from signals_of(item, (*path, index))
    elif is_dataclass(plugin):
        for field in fields(plugin):
            value = getattr(plugin, field.name)
            if field.name == "signal" and isinstance(value, str) and value:
                yield value, (*path, field.name)
            else:
                yield from signals_of(value, (*path, field.name))


def _check_numbers(stage: StageConfig, config: Config, path: Path, problems: Problems) -> None:
    if stage.width > stage.max_samples and not problems.touch((*path, "max_samples")):
        text = f"{stage.width} samples in flight are more than max_samples = {stage.max_samples}"
        problems.add((*path, "width"), text)
    backend = config.backends.get(stage.backend)
    if backend is None or problems.touch(("backends", stage.backend)):
        return
    room, most = backend.context_tokens, stage.max_tokens or backend.max_tokens
    if room is not None and stage.max_tokens is not None and stage.max_tokens > room:
        text = f"{most} tokens do not fit into context_tokens = {room} of backend {stage.backend!r}"
        problems.add((*path, "max_tokens"), text)
    if stage.thinking_tokens is not None and stage.thinking_tokens > most:
        text = f"{stage.thinking_tokens} tokens of thinking are more than the {most} tokens of a whole sample"
        problems.add((*path, "thinking_tokens"), text)


def _check_stage(stage: Stage, config: Config, path: Path, problems: Problems, *, followed: bool) -> None:
    for name, at in signals_of((stage.stop,), ()):
        check_signal(name, config, (*path, "stop", *at[1:]), problems)
    asks = asks_of(stage.select)
    if asks is not None and asks.backend not in config.backends:
        problems.add((*path, "select", "backend"), unknown("backend", asks.backend, config.backends))
    if stage.gate is not None:
        check_signal(stage.gate.signal, config, (*path, "gate", "signal"), problems)
        if _never_opens(stage.gate):
            problems.add((*path, "gate"), f"never opens: the stage on {stage.backend!r} can never be reached")
    needs = stage.verifier.needs if stage.verifier is not None else ""
    if needs:
        problems.add((*path, "verifier"), NOT_LIVE.format(needs))
    if followed and _always_ends(stage):
        problems.add((*path, "stop"), "always ends the plan here: the next stage can never be reached")
    needed = _needs_samples(stage, first=path[-1] == 0)
    if needed is not None:
        text = f"can never be satisfied by max_samples = {stage.max_samples}: it takes at least {needed} that agree"
        problems.add((*path, "stop"), text)


def _never_opens(gate: Gate) -> bool:
    low, high = gate.at_least, gate.below
    if low is not None and high is not None and low >= high:
        return True
    if not gate.signal.startswith(_PROBABILITIES):
        return False
    return (low is not None and low > 1) or (high is not None and high <= 0)


def _always_ends(stage: Stage) -> bool:
    """Whether the rule says ENOUGH to the least convincing sample there is: no answer, one token, signals 0.

    What the next stage is said to be worth is 1.
    """
    worst = (Sample("0.0", stage.backend, tokens_out=1, confidence=0.0),)
    seen = Observation(_NOBODY, worst, tally=Tally(drawn=1), max_samples=stage.max_samples)
    return stage.stop.verdict(seen, _GoOn(0.0)).action is Action.ENOUGH


def _needs_samples(stage: Stage, *, first: bool) -> int | None:
    """How many equal answers would satisfy the rule, where that is more than the stage may draw; else None."""
    # Earlier stages may have used any number of tokens.
    tokens = (stage.sampling.max_tokens if first else None) or 10**9
    alike = tuple(
        Sample(f"0.{n}", stage.backend, tokens_out=tokens, confidence=0.0, answer="a", answer_class=0)
        for n in range(max(_MANY, stage.max_samples))
    )
    for count in range(1, len(alike) + 1):
        tally = Tally((count,), ("a",), count)
        seen = Observation(_NOBODY, alike[:count], tally=tally, max_samples=stage.max_samples)
        if any(stage.stop.verdict(seen, _Constant(value)).action is not Action.MORE for value in (1.0, 0.0)):
            return count if count > stage.max_samples else None
    return None


class _Constant(Mapping[str, float]):
    """Signals that all have one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __getitem__(self, name: str) -> float:
        return self.value

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _GoOn(_Constant):
    """The same, and whoever is asked next will be right."""

    def __getitem__(self, name: str) -> float:
        return 1.0 if name.startswith("going_on/") else self.value
