"""The names that `model` may have, and what each asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from predictors.observation import Constraints
from router.checks.fields import SHOWN_CHARS
from router.domain.plan import Plan
from router.errors import ConfigError, InvalidQuery, UnknownName

AUTO = "auto"  # the policy chooses
BACKEND = "backend/"


@dataclass(frozen=True, slots=True)
class Models:
    """Plans in the order of the configuration, and the backends that some plan needs alone."""

    plans: tuple[str, ...]
    backends: tuple[str, ...]

    @classmethod
    def of(cls, plans: Iterable[Plan]) -> Self:
        """Raises `ConfigError` where a plan's name stands for something else here."""
        menu = tuple(plans)
        alone = dict.fromkeys(plan.backends[0] for plan in menu if len(plan.backends) == 1)
        models = cls(tuple(plan.name for plan in menu), tuple(alone))
        for name in models.plans:
            if models.names.count(name) > 1:
                raise ConfigError(
                    f"plans: {name!r} is a model's name of the OpenAI door and stands for another choice; "
                    "rename the plan, or leave server.http_listen out"
                )
        return models

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, `auto` first."""
        return (AUTO, *self.plans, *(BACKEND + name for name in self.backends))

    def wanted(self, model: str, wants: Constraints) -> Constraints:
        """`wants` with what `model` asks for. Raises `UnknownName` and, where both differ, `InvalidQuery`."""
        if model == AUTO:
            return wants
        if model in self.plans:
            if wants.plan not in ("", model):
                raise InvalidQuery(
                    "model", f"{model!r} is a plan, but router.plan is {wants.plan!r}", "the same, or auto"
                )
            return replace(wants, plan=model)
        backend = model.removeprefix(BACKEND)
        if backend == model or backend not in self.backends:
            raise UnknownName("model", model[:SHOWN_CHARS], self.names)
        if wants.allowed_backends and backend not in wants.allowed_backends:
            raise InvalidQuery(
                "model",
                f"{model!r} is not among router.constraints.allowed_backends",
                "one of them, a plan, or auto",
            )
        return replace(wants, allowed_backends=(backend,))
