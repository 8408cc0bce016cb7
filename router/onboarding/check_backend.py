"""Whether a model server is what its backend's section says: model, abilities, context, speed, prices, clock."""

from __future__ import annotations

from collections.abc import Iterator

from router.config import BackendConfig
from router.onboarding.checkup import Finding, note, ok, problem
from router.onboarding.findings import Findings, Identity
from router.onboarding.missing import COSTS, missing
from router.onboarding.prices import prices_of

CLOCK_S = 5.0  # servers say their time in whole seconds; logs of two machines are joined by it
SPEED_FACTOR = 4.0  # tokens_per_second off by more spoils deadlines and forecasts
# A fuller server writes up to some thirty times the tokens of a few requests at once; a busy one less than measured.
CHEAPER, DEARER = 30.0, 4.0


def check_identity(about: str, who: Identity, config: BackendConfig) -> Iterator[Finding]:
    """One url of a backend."""
    server = f"{'vLLM' if who.vllm else 'server'} {who.version}".strip()
    yield ok(about, f"{who.url}: {server} with model {who.model!r}")
    if who.clock_ahead_s is not None and abs(who.clock_ahead_s) > CLOCK_S:
        word = "ahead of" if who.clock_ahead_s > 0 else "behind"
        yield problem(about, f"{who.url}: its clock is {abs(who.clock_ahead_s):.0f} s {word} this machine's")
    room, wanted = who.context_tokens, config.context_tokens
    if room is not None and wanted is not None and wanted > room:
        text = f"context_tokens = {wanted}, but the server takes {room}: longer queries will be refused"
        yield problem(f"{about}.context_tokens", text)
    elif room is not None and wanted is None:
        text = f"the server takes {room} tokens; say so, or longer queries are sent and refused"
        yield note(f"{about}.context_tokens", text)
    elif room is not None and wanted is not None and wanted < room:
        yield note(f"{about}.context_tokens", f"{wanted} of the {room} tokens that the server takes are used")
    if room is not None and config.max_tokens > room:
        text = f"max_tokens = {config.max_tokens} is more than the {room} tokens of its whole context"
        yield problem(f"{about}.max_tokens", text)


def check_abilities(about: str, found: Findings, config: BackendConfig) -> Iterator[Finding]:
    """What the section promises and the server does not keep, what it could promise, and what is missing."""
    can = found.abilities
    if can.api == "completions" != config.api:
        yield problem(f"{about}.api", 'its chat door refuses a plain question; write api = "completions"')
    elif can.api != config.api:
        yield note(f"{about}.api", "its chat door answers too; completions know no roles, tools or turns")
    promises = {
        "logprobs": (config.logprobs, can.logprobs),
        "tools": (config.tools, can.tools),
        "response_format": (config.response_format, can.response_format),
    }
    for key, (promised, there) in promises.items():
        if there is not None:
            yield from _promise(f"{about}.{key}", key, promised, there, (can.refused or {}).get(key, ""))
    for key, cost in missing(found).items():
        said = key in promises and promises[key][0]
        if not said and not (key == "context_tokens" and config.context_tokens is not None):
            yield note(f"{about}.{key}", f"missing: {cost}")
    for text in found.notes:
        yield note(about, text)


def _promise(about: str, key: str, promised: bool, there: bool, why: str) -> Iterator[Finding]:
    if promised and not there:
        refusal = f" ({why})" if why else ""
        text = f"{key} = true, but the server does not{refusal}; in truth: {COSTS[key]}"
        yield problem(about, text)
    elif there and not promised:
        yield note(about, f"the server can; without {key} = true: {COSTS[key]}")
    elif there:
        yield ok(about, "the server can")


def check_speed(
    about: str, found: Findings, config: BackendConfig, dollars_per_hour: float | None
) -> Iterator[Finding]:
    """Speed, and prices where the hour's price is known."""
    speed = found.speed
    if speed.tokens_per_second:
        factor = config.tokens_per_second / speed.tokens_per_second
        text = f"{speed.tokens_per_second:,.0f} tokens/s measured, {config.tokens_per_second:g} configured"
        far = not 1 / SPEED_FACTOR <= factor <= SPEED_FACTOR
        more = ": forecasts are off until lengths and speeds are learned" if far else ""
        yield (note if far else ok)(f"{about}.tokens_per_second", text + more)
    if not config.price_in and not config.price_out:
        text = "prices are 0: no plan is dearer than another, budgets are never spent"
        yield note(f"{about}.price_out", text)
        return
    measured = prices_of(dollars_per_hour, speed)
    for key, configured, price in (
        ("price_in", config.price_in, measured.price_in),
        ("price_out", config.price_out, measured.price_out),
    ):
        if not price:
            continue
        text = f"${configured:g} per 1M tokens; the measured speed makes it ${price:g}"
        if not price / CHEAPER <= configured <= price * DEARER:
            yield problem(f"{about}.{key}", f"{text}, which no load explains")
        else:
            yield ok(f"{about}.{key}", text)
    cached = config.price_cached_in
    if cached is not None and cached < config.price_in and speed.prefix_cache is False:
        text = f"price_cached_in = {cached:g}, but nothing is cached; reported cached tokens stay 0"
        yield note(f"{about}.price_cached_in", text)
