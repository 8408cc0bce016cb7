"""The HTTP door of a service, where its configuration wants one: OpenAI's protocol, the console, metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.admission.admission import Admission
from router.admission.coalescing import Coalescer
from router.admission.tenant_limits import Answers, TenantLimits
from router.reports import Reports
from router.serving.json_admin import JsonAdmin
from router.serving.known import known_names
from router.serving.service import Service
from router.telemetry.telemetry import Telemetry

if TYPE_CHECKING:  # an HTTP server, imported where one is wanted
    from router.openai_door.door import Door


@dataclass(frozen=True, slots=True)
class Shared:
    """What both doors of a process have in common: a query through either counts, and is refused, alike."""

    answers: Answers
    limits: TenantLimits
    admission: Admission
    reports: Reports
    refused: Counter[tuple[str, str]]  # (door, reason) -> calls
    telemetry: Telemetry
    coalescer: Coalescer
    new_id: Callable[[], str]
    keep_alive_s: float
    wall_s: Callable[[], float]
    monotonic_s: Callable[[], float]


def door_of(service: Service, shared: Shared, admin: JsonAdmin) -> Door | None:
    """The OpenAI door, where the configuration wants one; not yet listening. Raises `ConfigError`."""
    config, admission, new_id = service.config.server, shared.admission, shared.new_id
    if not config.http_listen:
        return None
    from router.console.app import Console
    from router.openai_door.door import Behind, Clocks, Door, Entrance, Shown
    from router.openai_door.forwarding import Forwarding

    mounts = (
        {"/console": Console(admin, local_only=not service.guard.on).application()} if config.console else {}
    )
    books, telemetry = service.allocator.books, shared.telemetry
    behind = Behind(
        shared.answers,
        books.chooser.menu.plans,
        known_names(service),
        shared.reports,
        new_id,
        Forwarding.of(service.config, books, admission, shared.limits, new_id),
        telemetry.traces,
        shared.coalescer,
    )
    entrance = Entrance(
        admission, service.guard, service.certificates.callers, shared.limits.enter, shared.refused
    )
    return Door(
        config,
        behind,
        entrance,
        Shown(telemetry.pages, mounts),
        Clocks(shared.keep_alive_s, shared.wall_s, shared.monotonic_s),
    )
