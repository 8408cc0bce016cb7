"""The HTTP door of a service, where its configuration wants one: OpenAI's protocol, the console, metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
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


def door_of(
    service: Service,
    answers: Answers,
    limits: TenantLimits,
    admission: Admission,
    admin: JsonAdmin,
    reports: Reports,
    refused: Counter[tuple[str, str]],
    telemetry: Telemetry,
    coalescer: Coalescer,
    new_id: Callable[[], str],
    keep_alive_s: float,
    wall_s: Callable[[], float],
    monotonic_s: Callable[[], float],
) -> Door | None:
    """The OpenAI door, where the configuration wants one; not yet listening. Raises `ConfigError`."""
    config = service.config.server
    if not config.http_listen:
        return None
    from router.console.app import Console
    from router.openai_door.door import Door
    from router.openai_door.forwarding import Forwarding

    mounts = (
        {"/console": Console(admin, local_only=not service.guard.on).application()} if config.console else {}
    )
    return Door(
        answers,
        service.allocator.books.chooser.menu.plans,
        known_names(service),
        admission,
        config,
        guard=service.guard,
        reports=reports,
        joins=limits.enter,
        refused=refused,
        new_id=new_id,
        forwarding=Forwarding.of(service.config, service.allocator.books, admission, limits, new_id),
        pages=telemetry.pages,
        traces=telemetry.traces,
        coalescer=coalescer,
        mounts=mounts,
        certificates=service.certificates.callers,
        keep_alive_s=keep_alive_s,
        wall_s=wall_s,
        monotonic_s=monotonic_s,
    )
