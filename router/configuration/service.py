"""Whether what is around the plans fits together: defaults, modes, policy, answers, addresses, folders."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path as File
from typing import Any

from predictors.card import BundleCard
from predictors.errors import BundleError
from router.answers import ANSWER_KINDS
from router.config import Config, RewardsConfig
from router.configuration.access import check_files, check_jwt, check_tls
from router.configuration.places import Path
from router.configuration.plans import check_signal, signals_of
from router.configuration.plugin_options import POLICY, build_plugin
from router.configuration.problems import Problems, unknown
from router.errors import ConfigError
from router.openai_door.models import AUTO, BACKEND, alias_problem
from router.policies import Policy

MOST_WEIGHT = 1000  # as on the wire
MAY_BE_CLOSED = ("http_listen", "health_listen")
# What the OpenAI door answers itself.
DOORS_OWN = frozenset(
    ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/feedback", "/v1/responses")
)
_ENDPOINT = re.compile(r"https?://[^/\s@]+:[0-9]{1,5}")
_FORWARDED = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_PLAN_OPTIONS = ("plan", "then", "otherwise")  # options of policies that name a plan


def reference_plan(config: Config) -> str:
    """The plan of bypass and observe: the one named, else the last with one stage of one sample; "" if none is."""
    single = [plan.name for plan in config.plans if len(plan.stages) == 1 and plan.stages[0].max_samples == 1]
    return config.reference or (single[-1] if single else "")


def untrained_plan(config: Config) -> str:
    """The plan that is served without a bundle: the one named, else the reference."""
    return config.untrained or reference_plan(config)


def check_service(config: Config, problems: Problems) -> None:
    """Note what does not fit together."""
    _check_defaults(config, problems)
    _check_modes(config, problems)
    if config.shadow.share > 0 and config.shadow.dollars == 0:
        problems.add(
            ("shadow", "dollars"),
            "share is above 0 and there is no money for it: say how many dollars shadow runs may use per window_s",
        )
    build_policy(config, problems)
    for path, kind in [
        (("answers",), config.answers),
        *(((("answers_by_task", task)), kind) for task, kind in config.answers_by_task.items()),
    ]:
        if kind not in ANSWER_KINDS:
            problems.add(path, unknown("answer kind", kind, ANSWER_KINDS))
    _check_rewards(config.rewards, problems)
    _check_addresses(config, problems)
    check_jwt(config.auth.jwt, problems)
    check_tls(config.tls, problems)
    server = config.server
    if server.max_bodies_bytes < server.max_message_bytes:
        text = f"has to hold one body of max_message_bytes: write at least {server.max_message_bytes}"
        problems.add(("server", "max_bodies_bytes"), text)
    _check_forward(config, problems)
    _check_models(config, problems)
    endpoint = config.tracing.endpoint
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        problems.add(
            ("tracing", "endpoint"), f"wants http://HOST:PORT or https://HOST:PORT, got {endpoint!r}"
        )


def check_folders(config: Config, folder: File, problems: Problems) -> None:
    """Note what a service would not find when it starts; `folder` is where the file is."""
    if config.bundle and not (folder / config.bundle).is_dir():
        text = (
            f"there is no folder {folder / config.bundle}; make one with `apportion fit`, or leave bundle out"
        )
        problems.add(("bundle",), text)
    elif config.bundle:
        _check_card(folder / config.bundle, problems)
    if config.bundle_signers:
        from router.rollout.signature import read_signers  # brings arrays along

        try:
            read_signers(folder / config.bundle_signers)
        except ConfigError as error:
            problems.add(("bundle_signers",), str(error))
    check_files(config.auth, config.tls, folder, problems)
    store = config.store.sqlite
    if not store:
        problems.add(("store", "sqlite"), 'wants a file, or ":memory:" to keep nothing')
    elif store != ":memory:" and not (folder / store).parent.is_dir():
        problems.add(("store", "sqlite"), f"there is no folder {(folder / store).parent}")
    elif store != ":memory:" and (folder / store).is_dir():
        problems.add(("store", "sqlite"), f"{folder / store} is a folder; wants a file")


def _check_card(bundle: File, problems: Problems) -> None:
    """Note a bundle of another version; whether its arrays are whole is seen when it is loaded."""
    try:
        BundleCard.from_json(json.loads((bundle / "card.json").read_bytes()))
    except (OSError, ValueError, RecursionError, BundleError) as error:
        problems.add(
            ("bundle",), f"{bundle}: {error}; make a new one with `apportion fit`, or leave bundle out"
        )


def build_policy(config: Config, problems: Problems) -> Policy | None:
    """The policy, its plans and signals checked; None where a problem was noted."""
    path: Path = ("policy",)
    policy: Any = build_plugin(POLICY, config.policy, path, problems)
    if policy is None:
        return None
    plans = [plan.name for plan in config.plans]
    for option in _PLAN_OPTIONS:
        name = getattr(policy, option, None)
        if name is None or not plans:
            continue
        if not name:
            problems.add(
                path, f"{policy_name(config)} names no plan in {option!r}; choose from {', '.join(plans)}"
            )
        elif name not in plans:
            problems.add((*path, option), unknown("plan", name, plans))
    for name, at in signals_of((policy,), ()):
        check_signal(name, config, (*path, *at[1:]), problems)
    if getattr(policy, "signal", None) == "":
        problems.add(path, f'{policy_name(config)} names no signal; write signal = "p_correct/NAME"')
    floor = getattr(policy, "floor", 0.0)
    if floor * len(plans) > 1 and not problems.touch(path):
        text = f"{len(plans)} plans with at least {floor:g} each are more than 1; write at most {1 / len(plans):.3g}"
        problems.add((*path, "floor"), text)
    return policy if isinstance(policy, Policy) else None


def policy_name(config: Config) -> str:
    """The name in `POLICIES`."""
    return config.policy if isinstance(config.policy, str) else str(config.policy.get("kind"))


def _check_forward(config: Config, problems: Problems) -> None:
    servers = [name for name, backend in config.backends.items() if backend.kind == "vllm"]
    for path, name in config.server.forward.items():
        place: Path = ("server", "forward", path)
        if not _FORWARDED.fullmatch(path) or path in DOORS_OWN or path.startswith("/v1/models/"):
            problems.add(
                place, f"{path!r} is not sent on; wants a path such as /v1/embeddings, none of our own"
            )
        if name not in servers:
            problems.add(place, unknown("vllm backend", name, servers))


def _check_models(config: Config, problems: Problems) -> None:
    alone = {
        plan.stages[0].backend for plan in config.plans if len({stage.backend for stage in plan.stages}) == 1
    }
    own = (AUTO, *(plan.name for plan in config.plans), *(BACKEND + name for name in sorted(alone)))
    for alias, name in config.server.models.items():
        problem = alias_problem(alias, name, own)
        if problem is not None:
            problems.add(("server", "models", alias), problem)


def _check_defaults(config: Config, problems: Problems) -> None:
    names = [plan.name for plan in config.plans]
    if not names:
        return
    for key, name in (("reference", config.reference), ("untrained", config.untrained)):
        if name and name not in names:
            problems.add((key,), unknown("plan", name, names))
    if not reference_plan(config) and not problems.touch(("plans",)):
        text = (
            "no plan has one stage with one sample: say which plan is the reference (of bypass and observe)"
        )
        problems.add((), f"{text}; choose from {', '.join(names)}")


def _check_rewards(rewards: RewardsConfig, problems: Problems) -> None:
    for name, metric in rewards.metrics.items():
        path: Path = ("rewards", "metrics", name)
        if metric.low == metric.high:
            problems.add(path, f"low and high are both {metric.low:g}: a reward needs a range")
        for label, reward in metric.labels.items():
            if not 0 <= reward <= 1:
                problems.add((*path, "labels", label), f"a reward is in [0, 1], got {reward:g}")
    for source, weight in rewards.sources.items():
        if not 0 <= weight <= MOST_WEIGHT:
            problems.add(
                ("rewards", "sources", source), f"wants a weight from 0 to {MOST_WEIGHT}, got {weight:g}"
            )
    if rewards.default is not None and not rewards.wait_s:
        text = (
            "say in wait_s how long outcomes may take, else every new decision would have this reward at once"
        )
        problems.add(("rewards", "default"), text)


def _check_modes(config: Config, problems: Problems) -> None:
    taken: dict[str, int] = {}
    for index, entry in enumerate(config.modes):
        before = taken.get("", taken.get(entry.tenant))
        path: Path = ("modes", index)
        if before is not None:
            problems.add(
                path, f"can never match: modes[{before}] takes all of it; put the narrower entry first"
            )
        elif entry.share == 0:
            problems.add(path, "share = 0 matches nothing; remove the entry")
        if entry.share >= 1:
            taken.setdefault(entry.tenant, index)


def _check_addresses(config: Config, problems: Problems) -> None:
    taken: dict[str, str] = {}
    for section, key in (
        ("server", "listen"),
        ("server", "admin_listen"),
        ("server", "http_listen"),
        ("server", "health_listen"),
        ("metrics", "listen"),
    ):
        address: str = getattr(getattr(config, section), key)
        path: Path = (section, key)
        if ((key in MAY_BE_CLOSED or section == "metrics") and not address) or problems.touch(path):
            continue
        text = address_problem(address)
        if text:
            problems.add(path, text)
        elif not config.server.allow_remote and not is_loopback(address):
            problems.add(
                path,
                f"{address!r} can be reached from other machines; "
                "listen on 127.0.0.1, or say allow_remote = true in [server]",
            )
        elif not address.endswith(":0"):  # 0: any free port
            name = key if section == "server" else f"{section}.{key}"
            other = taken.setdefault(address, name)
            if other != name:
                problems.add(path, f"{address!r} is already the address of {other}")


def address_problem(address: str) -> str:
    """What is wrong with `HOST:PORT`, in words; empty where nothing is."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        return f"wants HOST:PORT with a port from 0 to 65535 (0: any free one), got {address!r}"
    if "/" in host or " " in host:
        return f"wants HOST:PORT without a scheme, got {address!r}"
    return ""


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `HOST:PORT`."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False
