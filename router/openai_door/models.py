"""The names that `model` may have, and what each asks for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from predictors.observation import Constraints, Preferences
from router.checks.fields import SHARE, SHOWN_CHARS, Range
from router.domain.plan import Plan
from router.errors import ConfigError, InvalidQuery, UnknownName

AUTO = "auto"  # the policy chooses
BACKEND = "backend/"
ANY = "*"  # as an alias: every name that is not known
WISHES = f"{AUTO}:"  # auto:cost=0.3, auto:risk=0.05, auto:quality=0.9,latency=2
SHOWN_WISHES = (f"{WISHES}cost=0.3", f"{WISHES}risk=0.05")
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
# What may be wished: where it goes, and its range. Said in `router` too, that must say the same.
WEIGHTS = {"cost": "cost_weight", "latency": "latency_weight"}
LIMITS = {"risk": "max_risk", "quality": "min_quality"}
RANGES = {"cost": Range(0), "latency": Range(0), "risk": SHARE, "quality": SHARE}


@dataclass(frozen=True, slots=True)
class Models:
    """Plans in the order of the configuration, backends that some plan needs alone, names that clients say already."""

    plans: tuple[str, ...]
    backends: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)  # what clients say -> what it stands for

    @classmethod
    def of(cls, plans: Iterable[Plan], aliases: Mapping[str, str] | None = None) -> Self:
        """Raises `ConfigError` where a plan's name or an alias stands for something else here."""
        menu = tuple(plans)
        alone = dict.fromkeys(plan.backends[0] for plan in menu if len(plan.backends) == 1)
        models = cls(tuple(plan.name for plan in menu), tuple(alone), dict(aliases or {}))
        for alias, name in models.aliases.items():
            if (problem := alias_problem(alias, name, models.own)) is not None:
                raise ConfigError(f"server.models: {problem}")
        for name in models.plans:
            if models.own.count(name) > 1 or name.startswith(WISHES):
                raise ConfigError(
                    f"plans: {name!r} is a model's name of the OpenAI door and stands for another choice; "
                    "rename the plan, or leave server.http_listen out"
                )
        return models

    @property
    def own(self) -> tuple[str, ...]:
        """Every name of ours, `auto` first; of the wishes those that show how they are written."""
        return (AUTO, *SHOWN_WISHES, *self.plans, *(BACKEND + name for name in self.backends))

    @property
    def names(self) -> tuple[str, ...]:
        """Ours, then what clients say already."""
        return (*self.own, *(alias for alias in self.aliases if alias != ANY))

    def meant(self, model: str) -> str:
        """The name of ours that `model` stands for; itself, where it is one or stands for none."""
        if model in self.own or model.startswith(WISHES):
            return model
        return self.aliases.get(model) or self.aliases.get(ANY, model)

    def known(self, model: str) -> bool:
        """Whether a request may name it."""
        try:
            return self.meant(model) in self.own or bool(wishes(self.meant(model)))
        except InvalidQuery:
            return False

    def wanted(self, model: str, wants: Constraints, likes: Preferences) -> tuple[Constraints, Preferences]:
        """Both with what `model` asks for. Raises `UnknownName` and, where both differ, `InvalidQuery`."""
        model = self.meant(model)
        if model == AUTO:
            return wants, likes
        if model.startswith(WISHES):
            return _wished(model, wants, likes)
        if model in self.plans:
            if wants.plan not in ("", model):
                raise InvalidQuery(
                    "model", f"{model!r} is a plan, but router.plan is {wants.plan!r}", "the same, or auto"
                )
            return replace(wants, plan=model), likes
        backend = model.removeprefix(BACKEND)
        if backend == model or backend not in self.backends:
            raise UnknownName("model", model[:SHOWN_CHARS], self.names)
        if wants.allowed_backends and backend not in wants.allowed_backends:
            raise InvalidQuery(
                "model",
                f"{model!r} is not among router.constraints.allowed_backends",
                "one of them, a plan, or auto",
            )
        return replace(wants, allowed_backends=(backend,)), likes


def alias_problem(alias: str, name: str, own: Collection[str]) -> str | None:
    """What is wrong with letting `alias` stand for `name`, which must be one of `own` or a wish."""
    if alias in own or alias.startswith(WISHES) or not alias.strip():
        return f"{alias!r} stands for a choice of ours already, or for nothing"
    try:
        return None if name in own or wishes(name) else str(UnknownName("model", name, tuple(own)))
    except InvalidQuery as error:
        return str(error)


def wishes(model: str) -> dict[str, float]:
    """What stands behind `auto:`, none where nothing does. Raises `InvalidQuery`."""
    found: dict[str, float] = {}
    if not model.startswith(WISHES):
        return found
    for wish in model.removeprefix(WISHES).split(","):
        name, equals, value = wish.partition("=")
        if name not in RANGES or not equals or not NUMBER.fullmatch(value) or name in found:
            allowed = f"{' or '.join(SHOWN_WISHES)}; {', '.join(RANGES)}, each once, separated by commas"
            raise InvalidQuery("model", f"{wish[:SHOWN_CHARS]!r} is no wish", allowed)
        found[name] = float(value)
        RANGES[name].check("model", found[name])
    return found


def _wished(model: str, wants: Constraints, likes: Preferences) -> tuple[Constraints, Preferences]:
    said = wishes(model)
    limits = {LIMITS[name]: value for name, value in said.items() if name in LIMITS}
    for name, value in limits.items():
        if getattr(wants, name) not in (None, value):
            raise InvalidQuery(
                "model",
                f"{model!r}, but router.constraints.{name} is {getattr(wants, name)}",
                "one of both",
            )
    weights = {WEIGHTS[name]: value for name, value in said.items() if name in WEIGHTS}
    for name, value in weights.items():
        if getattr(likes, name) not in (1.0, value):
            raise InvalidQuery(
                "model",
                f"{model!r}, but router.preferences.{name} is {getattr(likes, name)}",
                "one of both",
            )
    return (
        replace(
            wants,
            max_risk=said.get("risk", wants.max_risk),
            min_quality=said.get("quality", wants.min_quality),
        ),
        replace(
            likes,
            cost_weight=said.get("cost", likes.cost_weight),
            latency_weight=said.get("latency", likes.latency_weight),
        ),
    )
