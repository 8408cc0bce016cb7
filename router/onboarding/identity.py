"""Who answers at a url: models, version, metrics, tokenizer, clock. Says in one line what is there instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from router.backends.openai_probe import Answer, Probe
from router.configuration.problems import unknown
from router.errors import BackendError, BackendGarbled, BackendUnavailable, ConfigError
from router.onboarding.findings import Identity

LONGEST_CONTEXT = 100_000_000  # tokens: what router.toml takes
WITHIN_S = 5.0  # of one of these questions, none of which makes the server generate anything


async def identify(
    probe: Probe, name: str, model: str = "", wall_s: Callable[[], float] = time.time
) -> Identity:
    """Ask who it is. `model` chooses among several.

    Raises `BackendUnavailable` (cannot be reached, wrong key), `BackendGarbled` (no OpenAI-compatible server) or
    `ConfigError` (no model, or several and none chosen, or one chosen that is not there).
    """
    asked_at = wall_s()
    said = await probe.get("/v1/models", WITHIN_S)
    ahead_s = None if said.date is None else said.date - (asked_at + wall_s()) / 2
    offered = _offered(probe.who, said)
    names = tuple(str(entry["id"]) for entry in offered)
    chosen = _chosen(probe.who, name, names, model, probe.url)
    entry = offered[names.index(chosen)]
    version = await _asked(probe, "/version")
    metrics = await _asked(probe, "/metrics")
    health = await _asked(probe, "/health")
    counters = metrics.body if metrics is not None and b"# TYPE" in metrics.body else b""
    told = version.json() if version is not None else None
    length = entry.get("max_model_len")
    return Identity(
        name=name,
        url=probe.url,
        model=chosen,
        models=names,
        version=str(told["version"]) if isinstance(told, dict) and "version" in told else "",
        vllm=b"vllm:" in counters or entry.get("owned_by") == "vllm",
        health=health is not None and not health.is_page,
        metrics=bool(counters),
        tokenize=await _counts_tokens(probe, chosen),
        context_tokens=length if type(length) is int and 0 < length <= LONGEST_CONTEXT else None,
        clock_ahead_s=ahead_s,
    )


def _offered(who: str, said: Answer) -> Sequence[dict[str, Any]]:
    """The entries of /v1/models."""
    if said.status in {401, 403}:
        raise BackendUnavailable(
            f"{who}: HTTP {said.status}: it wants another key; "
            "name the environment variable that holds it (--api-key-env, api_key_env)"
        )
    if said.status in {429, 503}:  # it may be one, and is not ready
        raise said.error(who)
    if said.is_page:
        raise BackendGarbled(f"{who}: no OpenAI-compatible server: GET /v1/models gives an HTML page")
    if said.status != 200:
        raise BackendGarbled(
            f"{who}: no OpenAI-compatible server: GET /v1/models gives HTTP {said.status}"
            + ("; has the url a path too much?" if said.status == 404 else "")
        )
    document = said.json()
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise BackendGarbled(f"{who}: no OpenAI-compatible server: GET /v1/models gives no list of models")
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("id")]


def _chosen(who: str, name: str, names: tuple[str, ...], model: str, url: str) -> str:
    if not names:
        raise ConfigError(f"{who}: it serves no model")
    if model and model not in names:
        raise ConfigError(f"{who}: {unknown('model', model, names)}")
    if not model and len(names) > 1:
        raise ConfigError(
            f"{who}: it serves {len(names)} models: {', '.join(names)}; choose with {name}={url}#MODEL"
        )
    return model or names[0]


async def _asked(probe: Probe, path: str) -> Answer | None:
    """The reply with status 200 to a question that a server need not understand."""
    try:
        said = await probe.get(path, WITHIN_S)
    except BackendError:
        return None
    return said if said.status == 200 else None


async def _counts_tokens(probe: Probe, model: str) -> bool:
    try:
        said = await probe.post("/tokenize", {"model": model, "prompt": "one two three"}, WITHIN_S)
    except BackendError:
        return False
    told = said.json()
    return said.status == 200 and isinstance(told, dict) and isinstance(told.get("count"), int)
