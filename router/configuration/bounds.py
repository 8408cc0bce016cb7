"""What the numbers of router.toml mean: their unit, their range, and which unit a wrong one was probably written in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from router import config, config_access


class Unit(Enum):
    """The unit of a number; the value is how messages name it."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    PRICE = "$ per 1M tokens"
    DOLLARS = "dollars"
    SHARE = "share"
    TOKENS = "tokens"
    BYTES = "bytes"
    PLAIN = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """A closed range [low, high]; with `above` the lower end is excluded."""

    unit: Unit
    low: float
    high: float
    above: bool = False

    def wanted(self, *, whole: bool = False) -> str:
        """How messages name such a number: `a number of seconds above 0 and at most 86400`."""
        kind = "a whole number" if whole else "a number"
        if self.unit is Unit.SHARE:
            kind = "a share"
        elif self.unit is Unit.PRICE:
            kind += f" ({self.unit.value})"
        elif self.unit is not Unit.PLAIN:
            kind += f" of {self.unit.value}"
        if self.low == -math.inf:
            return kind
        if self.high == math.inf:
            return f"{kind} {'above' if self.above else 'of at least'} {_plain(self.low)}"
        if self.above:
            return f"{kind} above {_plain(self.low)} and at most {_plain(self.high)}"
        return f"{kind} from {_plain(self.low)} to {_plain(self.high)}"

    def problem(self, value: float) -> str | None:
        """What is wrong with a number, in words; None where it is in range."""
        if not math.isfinite(value):
            return f"wants {self.wanted()}, got {value}; it must be finite"
        if self.unit is Unit.PRICE and 0 < value < CHEAPEST:
            meant = _plain(value * 1e6)
            return f"{_plain(value)} looks like $ per token; prices are $ per 1M tokens: write {meant}"
        if value < self.low or value > self.high or (self.above and value == self.low):
            return f"wants {self.wanted()}, got {_plain(value)}{self._meant(value)}"
        return None

    def _meant(self, value: float) -> str:
        if self.unit is Unit.SHARE and 1 < value <= 100:
            return f"; a share is a fraction, not percent: write {_plain(value / 100)}"
        if self.unit is Unit.SECONDS and value > self.high:
            return f"; if these are milliseconds, write {_plain(value / 1000)}"
        if self.unit is Unit.BYTES and value < self.low:
            return f"; if these are MiB, write {int(value * 2**20)}" if value > 0 else ""
        return ""


# The dearest models cost $600 per 1M tokens, 6e-4 per token; the cheapest to be had, more than $0.001 per 1M.
CHEAPEST = 0.001

_DAY = 86_400.0
_ANY = Bound(Unit.PLAIN, 0, math.inf)
_TIMEOUT = Bound(Unit.SECONDS, 0, _DAY, above=True)
_TOKENS = Bound(Unit.TOKENS, 1, 100_000_000)
_WINDOW = Bound(Unit.SECONDS, 1, 366 * _DAY)
_RATE = Bound(Unit.PLAIN, 0, 1e9)
_WINDOW_OR_NONE = Bound(Unit.SECONDS, 0, 366 * _DAY)
_PRICE = Bound(Unit.PRICE, 0, 1_000_000)
_PER_SECOND = Bound(Unit.DOLLARS, 0, 1000)

BOUNDS: dict[tuple[type, str], Bound] = {
    (config.BackendConfig, "timeout_s"): _TIMEOUT,
    (config.BackendConfig, "first_token_timeout_s"): _TIMEOUT,
    (config.BackendConfig, "pace"): _ANY,
    # a query does not wait longer for what its answer does not need
    (config.BackendConfig, "hidden_wait_ms"): Bound(Unit.MILLISECONDS, 0, 50, above=True),
    (config.BackendConfig, "price_in"): _PRICE,
    (config.BackendConfig, "price_cached_in"): _PRICE,
    (config.BackendConfig, "price_out"): _PRICE,
    (config.BackendConfig, "price_per_gpu_second"): _PER_SECOND,
    (config.BackendConfig, "gpu_share"): Bound(Unit.PLAIN, 0, 10_000),
    (config.GrowingConfig, "patience"): Bound(Unit.TOKENS, 0, 1_000_000),
    (config.GrowingConfig, "answer_tokens"): _TOKENS,
    (config.GrowingConfig, "close_tokens"): _TOKENS,
    (config.GrowingConfig, "side_call_s"): _TIMEOUT,
    (config.ComposeConfig, "most_steps"): Bound(Unit.PLAIN, 1, 1000),
    (config.ComposeConfig, "entropy"): _ANY,
    (config.ComposeConfig, "score"): Bound(Unit.PLAIN, 0, 9),
    (config.ComposeConfig, "first_by_large"): Bound(Unit.PLAIN, 0, 1000),
    (config.ComposeConfig, "candidates"): Bound(Unit.PLAIN, 1, 256),
    (config.ComposeConfig, "beams"): Bound(Unit.PLAIN, 1, 256),
    (config.ComposeConfig, "expansions"): Bound(Unit.PLAIN, 1, 10_000),
    (config.ComposeConfig, "step_tokens"): _TOKENS,
    (config.PriceConfig, "price_in"): _PRICE,
    (config.PriceConfig, "price_cached_in"): _PRICE,
    (config.PriceConfig, "price_out"): _PRICE,
    (config.PriceConfig, "price_per_gpu_second"): _PER_SECOND,
    (config.BackendConfig, "max_tokens"): _TOKENS,
    (config.BackendConfig, "template_tokens"): Bound(Unit.TOKENS, 0, 1_000_000),
    (config.BackendConfig, "context_tokens"): _TOKENS,
    (config.BackendConfig, "tokens_per_second"): Bound(Unit.PLAIN, 0, 1e9, above=True),
    (config.BackendConfig, "first_token_s"): Bound(Unit.SECONDS, 0, _DAY),
    (config.BackendConfig, "load_every_s"): Bound(Unit.SECONDS, 0, _DAY),
    (config.BackendConfig, "hedge_after_s"): Bound(Unit.SECONDS, 0, _DAY),
    (config.BackendConfig, "stream_interval"): Bound(Unit.TOKENS, 1, 4096),
    (config.StageConfig, "max_samples"): Bound(Unit.PLAIN, 1, 10_000),
    (config.StageConfig, "width"): Bound(Unit.PLAIN, 1, 10_000),
    (config.StageConfig, "max_tokens"): _TOKENS,
    (config.StageConfig, "thinking_tokens"): Bound(Unit.TOKENS, 0, 100_000_000),
    (config.StageConfig, "temperature"): Bound(Unit.PLAIN, 0, 2),  # what OpenAI-compatible servers accept
    (config.StageConfig, "top_p"): Bound(Unit.SHARE, 0, 1, above=True),
    (config.ModeShare, "share"): Bound(Unit.SHARE, 0, 1),
    (config.BudgetConfig, "dollars"): Bound(Unit.DOLLARS, 0, 1e9),
    (config.BudgetConfig, "window_s"): _WINDOW,
    (config.BudgetConfig, "request_s"): Bound(Unit.SECONDS, 1, _DAY),
    (config.BudgetConfig, "away_share"): Bound(Unit.SHARE, 0, 1),
    (config.BudgetConfig, "urgent_share"): Bound(Unit.SHARE, 0, 1),
    (config.AccountConfig, "amount"): Bound(Unit.PLAIN, 0, 1e12),
    (config.AccountConfig, "window_s"): _WINDOW,
    (config.ShadowConfig, "share"): Bound(Unit.SHARE, 0, 1),
    (config.ShadowConfig, "dollars"): Bound(Unit.DOLLARS, 0, 1e9),
    (config.ShadowConfig, "window_s"): _WINDOW,
    (config.MetricConfig, "weight"): Bound(Unit.PLAIN, 0, 1e6, above=True),
    (config.MetricConfig, "low"): Bound(Unit.PLAIN, -1e300, 1e300),
    (config.MetricConfig, "high"): Bound(Unit.PLAIN, -1e300, 1e300),
    (config.RewardsConfig, "wait_s"): _WINDOW_OR_NONE,
    (config.RewardsConfig, "default"): Bound(Unit.SHARE, 0, 1),
    (config.ServerConfig, "drain_s"): Bound(Unit.SECONDS, 0, 3600),
    (config.ServerConfig, "max_message_bytes"): Bound(Unit.BYTES, 65_536, 2**31 - 1),  # gRPC counts in int32
    (config.ServerConfig, "max_bodies_bytes"): Bound(Unit.BYTES, 65_536, 2**40),
    (config.ServerConfig, "max_prompt_chars"): Bound(Unit.PLAIN, 1, 2**31 - 1),
    (config.ServerConfig, "replay_s"): Bound(Unit.SECONDS, 0, _DAY),
    (config.ServerConfig, "max_queries"): Bound(Unit.PLAIN, 1, 1_000_000),
    (config.ServerConfig, "max_outcomes_per_s"): Bound(Unit.PLAIN, 0.1, 1e9),
    (config_access.LimitsConfig, "queries_per_s"): _RATE,
    (config_access.LimitsConfig, "in_flight"): Bound(Unit.PLAIN, 0, 1_000_000),
    (config_access.TenantLimitsConfig, "queries_per_s"): _RATE,
    (config_access.TenantLimitsConfig, "in_flight"): Bound(Unit.PLAIN, 0, 1_000_000),
    (config_access.JwtConfig, "leeway_s"): Bound(Unit.SECONDS, 0, 600),
    (config.MetricsConfig, "tenants"): Bound(Unit.PLAIN, 0, 1000),
    (config.TracingConfig, "share"): Bound(Unit.SHARE, 0, 1),
    (config.StoreConfig, "retention_days"): Bound(Unit.PLAIN, 0, 36_600),
    (config.Config, "price"): _ANY,
    (config.Config, "latency_price"): _ANY,
    (config.Config, "seed"): Bound(Unit.PLAIN, 0, 2**63 - 1),
}

_QUANTITY = re.compile(r"\s*\$?\s*([0-9][0-9_.]*)\s*([A-Za-z$%]*)\s*\Z")
_FACTORS: dict[Unit, dict[str, float]] = {
    Unit.SECONDS: {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": _DAY},
    Unit.BYTES: {"b": 1, "kb": 1e3, "kib": 2**10, "mb": 1e6, "mib": 2**20, "gb": 1e9, "gib": 2**30},
    Unit.SHARE: {"%": 0.01},
    Unit.TOKENS: {"k": 1000, "m": 1e6},
    Unit.PRICE: {"$": 1},
    Unit.DOLLARS: {"$": 1},
}


def instead_of(text: str, unit: Unit) -> str:
    """What to write instead of a number with its unit in quotes: `; write 20` for "20s", else nothing."""
    match = _QUANTITY.match(text)
    if match is None:
        return ""
    factor = {"": 1.0, **_FACTORS.get(unit, {})}.get(match[2].lower())
    try:
        return "" if factor is None else f"; write {_plain(float(match[1]) * factor)}"
    except ValueError:  # "1.2.3"
        return ""


def _plain(value: float) -> str:
    """A number as TOML would have it, without the noise of binary fractions: 0.04, 86400, 1e-09."""
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else f"{value:.10g}"
