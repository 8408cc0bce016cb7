"""How much cleverness is allowed for a query: by tenant, by share of traffic, and by an operator's last word."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from router.domain.decision import Mode
from router.first_decision.draw import unit

CLEVERNESS = {Mode.BYPASS: 0, Mode.OBSERVE: 1, Mode.APPLY: 2}


@dataclass(frozen=True, slots=True)
class ModeRule:
    """One entry: the first that matches gives the mode."""

    mode: Mode
    tenant: str = ""  # empty: all
    share: float = 1.0  # of draw keys, [0, 1]


class ModesTold(msgspec.Struct, frozen=True):
    """What replicas tell each other about their modes."""

    number: int  # of two that differ the higher holds
    configured: (
        str  # what the configuration of the teller says: a changed one takes the place of what was set
    )
    default: str
    rules: tuple[tuple[str, str, float], ...] = ()  # mode, tenant, share
    at: float = 0.0  # seconds since the epoch; 0: not said


@dataclass(slots=True)
class Modes:
    """The rules in order, then the default; an operator's rules come first and the latest of them wins."""

    default: Mode
    rules: tuple[ModeRule, ...] = ()
    seed: int = 0

    def mode_for(self, tenant: str, key: str, wanted: Mode | None) -> Mode:
        """The mode of one query; `wanted` by the caller is taken where it is not cleverer than what is allowed."""
        allowed = self.default
        for rule in self.rules:
            if rule.tenant in ("", tenant) and (
                rule.share >= 1.0 or unit(self.seed, "mode", key) < rule.share
            ):
                allowed = rule.mode
                break
        return allowed if wanted is None else min(allowed, wanted, key=CLEVERNESS.__getitem__)

    def set(self, mode: Mode, tenant: str = "", share: float = 1.0) -> Mode:
        """Let `mode` hold from now on; returns what held before for such traffic.

        A mode for everybody ends all rules; a share of 0 ends those of the tenant (""; those for all tenants).
        """
        previous = next((rule.mode for rule in self.rules if rule.tenant in ("", tenant)), self.default)
        if not tenant and share >= 1.0:
            self.default, self.rules = mode, ()
        else:
            others = tuple(rule for rule in self.rules if rule.tenant != tenant)
            self.rules = (ModeRule(mode, tenant, share), *others) if share else others
        return previous

    def told(self, number: int, configured: str, at: float = 0.0) -> ModesTold:
        """What holds now, and since when."""
        rules = tuple((rule.mode.value, rule.tenant, rule.share) for rule in self.rules)
        return ModesTold(number, configured, self.default.value, rules, at)

    def hear(self, told: ModesTold) -> None:
        """Let what another replica told hold from now on."""
        self.default = Mode(told.default)
        self.rules = tuple(ModeRule(Mode(mode), tenant, share) for mode, tenant, share in told.rules)
