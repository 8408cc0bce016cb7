"""What operators see on the wire: plans, backends, the budget, and pages of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from router.backends import Capabilities
from router.checks.fields import Range, shown
from router.config import BackendConfig
from router.domain.plan import Gate, Plan, Stage
from router.domain.usage import Price
from router.errors import InvalidQuery
from router.ledger import Balance
from router.plugin_words import in_words
from router.rollout.rollout import Listed
from router.selectors import SELECTORS
from router.stopping import STOPPING_RULES
from router.switches.backend_switch import BackendSwitch
from router.switches.modes import ModeRule
from router.v1 import apportion_router_pb2 as pb
from router.verifiers import VERIFIERS
from router.wire.checks import duration
from router.wire.parts import (
    BACKEND_STATE_NUMBERS,
    BUNDLE_STATE_NUMBERS,
    COMMIT_NUMBERS,
    MODE_NUMBERS,
    sampling_to_wire,
)

Item = TypeVar("Item")

DEFAULT_PAGE, PAGE = 100, Range(1, 1000)
MOST_KNOWN = 1000  # plans in words


@dataclass(frozen=True, slots=True)
class PlanInfos:
    """Plans in words, each put into words once: a plan stays what its digest says."""

    reference: str  # name of the reference plan
    _known: dict[tuple[str, str], pb.PlanInfo] = field(default_factory=dict, repr=False, compare=False)

    def of(self, plan: Plan) -> pb.PlanInfo:
        """Not to be changed by who gets it."""
        key = (plan.name, plan.digest)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_KNOWN:  # bundles come and go, and thresholds with them
                self._known.clear()
            found = self._known[key] = plan_info(plan, reference=self.reference)
        return found


def mode_rule(rule: ModeRule) -> pb.ModeRule:
    """Whose mode it is, and of what share of their sessions."""
    return pb.ModeRule(mode=MODE_NUMBERS[rule.mode], tenant=rule.tenant, share=rule.share)


def plan_info(plan: Plan, *, reference: str) -> pb.PlanInfo:
    """A plan in words; `reference` is the name of the reference plan."""
    return pb.PlanInfo(
        name=plan.name,
        digest=plan.digest,
        commit=COMMIT_NUMBERS[plan.commit],
        stages=[_stage(stage) for stage in plan.stages],
        reference=plan.name == reference,
    )


def _stage(stage: Stage) -> pb.StageInfo:
    return pb.StageInfo(
        backend=stage.backend,
        prompt=stage.prompt.name,
        max_samples=stage.max_samples,
        width=stage.width,
        stop=in_words(stage.stop, STOPPING_RULES),
        select=in_words(stage.select, SELECTORS),
        verifier=in_words(stage.verifier, VERIFIERS) if stage.verifier else "",
        gate=_gate(stage.gate) if stage.gate else "",
        pool=stage.pool,
        sampling=sampling_to_wire(stage.sampling),
    )


def _gate(gate: Gate) -> str:
    least = f"{gate.at_least:g} <= " if gate.at_least is not None else ""
    below = f" < {gate.below:g}" if gate.below is not None else ""
    return f"{least}{gate.signal}{below}"


def backend_info(
    name: str,
    config: BackendConfig,
    capabilities: Capabilities,
    price: Price,
    switch: BackendSwitch,
    trouble: str,  # which of its servers failed when they were last asked
) -> pb.BackendInfo:
    """A backend as it is configured, what it can pass on and what it may do now; prices in $ per 1M tokens."""
    return pb.BackendInfo(
        name=name,
        kind=config.kind,
        model=config.model,
        urls=config.urls,
        state=BACKEND_STATE_NUMBERS[switch.state(name)],
        price_in=price.per_token_in,
        price_cached_in=price.per_token_cached,
        price_out=price.per_token_out,
        tools=capabilities.tools,
        images=capabilities.images,
        response_format=capabilities.response_format,
        logprobs=capabilities.logprobs,
        context_tokens=capabilities.context_tokens,
        in_flight=switch.in_flight(name),
        trouble="; ".join(filter(None, (switch.objection(name), trouble))),
    )


def balance_to_wire(balance: Balance) -> pb.Balance:
    """Where an account stands."""
    return pb.Balance(
        account=balance.account,
        currency=balance.unit,
        limit=balance.limit,
        spent=balance.spent,
        reserved=balance.reserved,
        window=duration(balance.window_s),
        ends_in=None if balance.ends_in_s is None else duration(balance.ends_in_s),
        leased=balance.leased,
        lost=balance.lost,
        breached=balance.breached,
        version=balance.version,
    )


def bundle_info(listed: Listed) -> pb.BundleInfo:
    """A bundle, what it is used for and what its card says."""
    info = pb.BundleInfo(
        version=listed.version,
        state=BUNDLE_STATE_NUMBERS[listed.state],
        metrics={} if listed.card is None else listed.card.metrics,
        note=listed.note,
        share=listed.share,
    )
    created = "" if listed.card is None else listed.card.created
    with contextlib.suppress(ValueError):  # "": nobody said
        info.created_at.FromJsonString(created)
    return info


def page_size(asked: int) -> int:
    """The size of a page: as asked for within [1, 1000], 100 where not asked."""
    if asked:
        PAGE.check("page_size", asked)
    return asked or DEFAULT_PAGE


def page_of(items: Sequence[Item], asked: int, token: str) -> tuple[Sequence[Item], str]:
    """One page of a list that does not change, and the token of the next ("" on the last)."""
    size = page_size(asked)
    if token and not (token.isascii() and token.isdigit() and int(token[:10]) < len(items)):
        raise InvalidQuery(
            "page_token", f"{shown(token)} is not one", "the next_page_token of the page before"
        )
    start = int(token or 0)
    end = start + size
    return items[start:end], str(end) if end < len(items) else ""
