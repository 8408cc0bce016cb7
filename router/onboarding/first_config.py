"""The first router.toml: what was found out, as a configuration that a person can read and go on with."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from router.config import BackendConfig
from router.configuration.file import load
from router.errors import ConfigError
from router.onboarding.first_plans import PROMPTS, Surveyed, cheapest_first, first_plans, toml_text
from router.onboarding.missing import missing

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_MAX_TOKENS = 1024  # of one sample
_MAX_TOKENS_REASONING = 4096  # a thought before the answer
_FASTEST = 1e9  # tokens per second: what router.toml takes, whatever a server reports
_RULE = 118  # columns of a heading


def first_config(servers: Sequence[Surveyed], ways: dict[str, BackendConfig], folder: Path) -> str:
    """The text. `ways`: keys, certificates and proxies by backend; `folder`: where the file will be."""
    ordered = cheapest_first(servers)
    plans = first_plans(ordered)
    lines = [
        f"# Apportion before {', '.join(toml_text(one.found.identity.model) for one in ordered)}.",
        "# Written by `apportion init` from what the servers said and did; yours to change from now on.",
        "#   apportion check FILE             what is configured, and what it may cost at most",
        "#   apportion doctor --config FILE   whether it is still true of the servers",
        "#   apportion serve --config FILE",
        "# Money is in $ per 1M tokens, times in seconds, shares from 0 to 1. Unknown keys are errors.",
        "",
        'mode = "observe"      # bypass: the reference plan | observe: the same, and log what apply would do | apply',
        f"reference = {toml_text(ordered[-1].name)}  # what callers get today: the plan of bypass and observe",
    ]
    if len(ordered) > 1:
        lines.append(f"untrained = {toml_text(plans[-1].name)}  # served by apply until there is a bundle")
    lines += [
        "price = 50.0          # quality per dollar: what a dollar is worth in right answers; higher: cheaper plans",
        'answers = "auto"      # how answers are read: auto | number | choice | math | exact | code | json | text',
        '# bundle = "bundle"   # what `apportion fit` has learned, relative to this file',
        "# the best plan at `price`, and in a twentieth of the queries another one, so that the log can be evaluated:",
        'policy = { kind = "softmax", explore = 0.05, temperature = 0.1, floor = 0.005 }',
        "",
        _heading("where samples come from"),
    ]
    for one in ordered:
        lines += ["", *_backend(one, ways[one.name], folder)]
    lines += ["", _heading("what may be done")]
    for name, after in PROMPTS.items():
        lines += [
            "",
            f"[prompts.{name}]  # in a stage: prompt = {toml_text(name)}",
            f"after = {toml_text(after)}",
        ]
    for plan in plans:
        lines += ["", f"[[plans]]  # {plan.why}", f"name = {toml_text(plan.name)}"]
        stages = [f"  {{ {stage} }}," for stage in plan.stages]
        lines += ["stages = [", *stages, "]"]
    lines += ["", _heading("how much, where, what"), "", *_SURROUNDINGS]
    return "\n".join(lines) + "\n"


_SURROUNDINGS = """\
[budget]
# dollars = 5.0       # per window; without it there is no limit
window_s = 3600.0

[server]
listen = "127.0.0.1:50051"        # gRPC: queries and outcomes
admin_listen = "127.0.0.1:50052"  # gRPC: for operators
http_listen = "127.0.0.1:8080"    # OpenAI's protocol: base_url = "http://127.0.0.1:8080/v1"; console: /console/
# allow_remote = true  # to listen on other addresses than this machine's; see [auth] and [tls] first
drain_s = 20.0                    # on SIGTERM: no new queries, what is running may end

[store]
sqlite = "apportion.db"  # decisions and outcomes; one process owns the file
keep = "hash"            # of the texts: off | hash | full (retraining on text features needs full)""".splitlines()


def _backend(one: Surveyed, way: BackendConfig, folder: Path) -> Iterator[str]:
    who = one.found.identity
    key = one.name if _BARE.match(one.name) else toml_text(one.name)
    server = "vLLM" if who.vllm else "OpenAI-compatible server"
    yield f"[backends.{key}]  # {_comment(f'{server} {who.version}')}"
    yield 'kind = "vllm"'
    yield f"urls = [{toml_text(who.url)}]  # several: the least busy one; without /v1"
    yield f"model = {toml_text(who.model)}"
    if one.found.abilities.api != "chat":
        yield f"api = {toml_text(one.found.abilities.api)}  # its chat door refuses: a base model without a template"
    yield from _way(way, folder)
    yield from _prices(one)
    yield from _lengths(one)
    yield from _abilities(one)
    yield from _remarks(one)


def _way(way: BackendConfig, folder: Path) -> Iterator[str]:
    if way.api_key_env:
        yield f"api_key_env = {toml_text(way.api_key_env)}  # the environment variable that holds the key"
    if way.ca_file:
        path = os.path.relpath(way.ca_file, folder)
        yield f"ca_file = {toml_text(way.ca_file if path.startswith('..') else path)}"
    if way.proxy:
        yield f"proxy = {toml_text(way.proxy)}"
    if way.proxy_auth_env:
        yield f"proxy_auth_env = {toml_text(way.proxy_auth_env)}  # holds USER:PASSWORD of the proxy"


def _lengths(one: Surveyed) -> Iterator[str]:
    room = one.found.identity.context_tokens
    most = _MAX_TOKENS_REASONING if one.found.abilities.reasoning else _MAX_TOKENS
    if room is None:
        yield "# context_tokens = 32768  # the server does not say: prompt and output together"
    else:
        most = max(1, min(most, room // 2))
        yield f"context_tokens = {room}  # prompt and output together: longer queries skip its plans"
    yield f"max_tokens = {most}  # of one sample, where neither the query nor the stage says"


def _abilities(one: Surveyed) -> Iterator[str]:
    can, speed = one.found.abilities, one.found.speed
    yield f"logprobs = {_flag(can.logprobs)}"
    ignored = can.tools and not can.tool_called
    yield f"tools = {_flag(can.tools)}" + (
        "  # accepted; the model did not call the one offered" if ignored else ""
    )
    yield f"response_format = {_flag(can.response_format)}"
    if speed.tokens_per_second:
        fast = _number(min(speed.tokens_per_second, _FASTEST))
        yield f"tokens_per_second = {fast}  # measured, while nobody else asked"
    if speed.first_token_s is not None:
        yield f"first_token_s = {_number(speed.first_token_s)}"
    if one.found.identity.vllm and one.found.identity.metrics:
        yield "load_every_s = 5  # its /metrics are read: a queue there makes its plans slower, in forecasts"


def _remarks(one: Surveyed) -> Iterator[str]:
    if one.found.abilities.reasoning:
        yield f"# it thinks before it answers: its thought is in {one.found.abilities.reasoning}"
    if one.found.abilities.hidden_states:
        yield "# its replies name files of hidden states: who reads none must delete them"
    for name, cost in missing(one.found).items():
        yield f"# missing: {name}: {cost}"
    for note in one.found.notes:
        yield f"# {_comment(note)}"


def _prices(one: Surveyed) -> Iterator[str]:
    prices, speed = one.prices, one.found.speed
    if prices.price_out:
        busy = max(speed.tokens_per_second_busy or 0.0, speed.tokens_per_second or 0.0)
        yield (
            f"# from dollars per hour and {busy:.4g} tokens/s written with {max(1, speed.in_flight)} requests at once, "
            f"{speed.prompt_tokens_per_second or 0:.4g} tokens/s read; a fuller server is cheaper"
        )
    else:
        yield "# Fill these in: with prices of 0 no plan is dearer than another. A host says them in its price list;"
        yield "# for a server of your own: apportion init --gpu-dollars-per-hour X measures them."
    yield f"price_in = {_number(prices.price_in)}"
    if prices.price_cached_in is not None:
        yield f"price_cached_in = {_number(prices.price_cached_in)}  # read from the prefix cache"
    yield f"price_out = {_number(prices.price_out)}"


def _comment(text: str) -> str:
    """What a server said, on one line and without what TOML does not allow in comments."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _flag(there: bool | None) -> str:
    return "true" if there else "false"


def _number(value: float) -> str:
    return repr(float(f"{value:.3g}"))


def _heading(text: str) -> str:
    return "# " + f" {text}".rjust(_RULE, "-")


def refuse_to_overwrite(out: Path, *, force: bool) -> None:
    """Raise `ConfigError` where there is a file and no force, or no folder: before anything is measured."""
    if not force and (out.exists() or out.is_symlink()):
        raise ConfigError(f"{out}: is there already; --force overwrites it, --out writes another file")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")


def write_config(out: Path, text: str, *, force: bool) -> None:
    """Write the file, whole or not at all, once it is known to load.

    Raises `ConfigError` where a file is there and `force` does not say otherwise, or where the text does not load.
    """
    refuse_to_overwrite(out, force=force)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".new")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        load(draft, serving=True)
        draft.chmod(0o644)
        if force:
            draft.replace(out)
            return
        try:
            os.link(draft, out)  # unlike a rename it never takes the place of a file
        except FileExistsError:
            refuse_to_overwrite(out, force=False)
    finally:
        draft.unlink(missing_ok=True)
