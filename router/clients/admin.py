"""The operators' clients, over asyncio and blocking: status, plans, backends, mode, logged decisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from router.clients.admin_types import (
    BackendInfo,
    BundleSeen,
    LoggedDecision,
    ServerStatus,
    read_backend,
    read_bundle,
    read_logged,
    read_status,
)
from router.clients.budget import AccountBalance, Budget, read_balance, read_budget
from router.clients.channel import DEFAULT_ADMIN_TARGET, AioStub, blocking_channel
from router.clients.errors import translated
from router.clients.read import read_enum, read_plan
from router.clients.tls import TLS
from router.clients.values import PlanInfo
from router.domain.backend_state import BackendState
from router.domain.decision import Mode
from router.ledger import ALL
from router.rollout.releases import BundleState
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc
from router.wire.parts import BACKEND_STATE_NUMBERS, BUNDLE_STATE_NUMBERS, MODE_NUMBERS, MODES

ADMIN_TIMEOUT_S = 10.0


class AdminClient:
    """The admin port over asyncio.

        async with AdminClient("127.0.0.1:50052") as admin:
            print((await admin.status()).mode)

    Every call raises `ApportionError`.
    """

    def __init__(
        self,
        target: str = DEFAULT_ADMIN_TARGET,
        *,
        timeout_s: float = ADMIN_TIMEOUT_S,
        token: str = "",
        tls: TLS | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._stub = AioStub(pb_grpc.AdminStub, target, token, tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._stub.close()

    async def status(self) -> ServerStatus:
        """How the replica is."""
        return read_status(await self._call(self._stub.GetStatus, pb.GetStatusRequest()))

    async def plans(self) -> tuple[PlanInfo, ...]:
        """The menu."""
        found: list[PlanInfo] = []
        token = ""
        while True:
            reply = await self._call(self._stub.ListPlans, pb.ListPlansRequest(page_token=token))
            found += (read_plan(plan) for plan in reply.plans)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    async def backends(self) -> tuple[BackendInfo, ...]:
        """The model servers."""
        found: list[BackendInfo] = []
        token = ""
        while True:
            reply = await self._call(self._stub.ListBackends, pb.ListBackendsRequest(page_token=token))
            found += (read_backend(item) for item in reply.backends)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    async def set_mode(self, mode: Mode, tenant: str = "", share: float | None = None) -> Mode:
        """Let `mode` hold from now on, for a tenant or a share of traffic in [0, 1]; returns what held before.

        `set_mode(Mode.BYPASS)` ends all cleverness.
        """
        request = pb.SetModeRequest(mode=MODE_NUMBERS[mode], tenant=tenant, share=share)
        return read_enum("mode", (await self._call(self._stub.SetMode, request)).previous, MODES)

    async def set_backend_state(self, backend: str, state: BackendState) -> BackendInfo:
        """Take a backend of the replica out of service, or back; returns how it is now. Raises `NotFound`.

        DRAIN lets running calls end; DISABLE cuts them, and their queries go on with what is left.
        """
        request = pb.SetBackendStateRequest(backend=backend, state=BACKEND_STATE_NUMBERS[state])
        return read_backend((await self._call(self._stub.SetBackendState, request)).backend)

    async def bundles(self) -> tuple[BundleSeen, ...]:
        """What was learned, the newest first, and what each of it is used for."""
        found: list[BundleSeen] = []
        token = ""
        while True:
            reply = await self._call(self._stub.ListBundles, pb.ListBundlesRequest(page_token=token))
            found += (read_bundle(item) for item in reply.bundles)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    async def promote_bundle(
        self, version: str, to: BundleState | None = None, share: float | None = None
    ) -> BundleSeen:
        """Let a bundle take its next place, or the one that is said; `share` of traffic for a canary.

        Raises `NotFound`, or `FailedPrecondition` with why it may not serve.
        """
        state = pb.BUNDLE_STATE_UNSPECIFIED if to is None else BUNDLE_STATE_NUMBERS[to]
        request = pb.PromoteBundleRequest(version=version, to=state, share=share)
        return read_bundle((await self._call(self._stub.PromoteBundle, request)).bundle)

    async def rollback_bundle(self, to_version: str = "") -> BundleSeen:
        """End what is being tried; where nothing is, or a version is named, another bundle is active again."""
        request = pb.RollbackBundleRequest(to_version=to_version)
        return read_bundle((await self._call(self._stub.RollbackBundle, request)).bundle)

    async def budget(self, account: str = "") -> Budget:
        """An account; by default the one of everything. Raises `NotFound` with the choices."""
        return read_budget(await self._call(self._stub.GetBudget, pb.GetBudgetRequest(account=account)))

    async def set_budget(self, limit: int | None, account: str = "") -> AccountBalance:
        """Another limit, in micro-units of the account's unit, from now on; None: no limit."""
        request = pb.SetBudgetRequest(account=account or ALL, limit=limit)
        return read_balance((await self._call(self._stub.SetBudget, request)).balance)

    async def decision(self, decision_id: str) -> LoggedDecision:
        """One row, with what was reported about it. Raises `NotFound`."""
        request = pb.GetDecisionRequest(decision_id=decision_id)
        return read_logged((await self._call(self._stub.GetDecision, request)).decision)

    async def decisions(self, tenant: str = "", page_size: int = 100) -> AsyncIterator[LoggedDecision]:
        """All rows, newest first, page by page as they are asked for."""
        token = ""
        while True:
            request = pb.ListDecisionsRequest(page_size=page_size, page_token=token, tenant=tenant)
            reply = await self._call(self._stub.ListDecisions, request)
            for decision in reply.decisions:
                yield read_logged(decision)
            token = reply.next_page_token
            if not token:
                return

    async def watch(self, tenant: str = "") -> AsyncIterator[LoggedDecision]:
        """The replica's rows as they are logged, from now on; leaving the loop ends it.

        async for row in admin.watch():
            print(row.decision.plan, row.usage.dollars)
        """
        call = self._stub.WatchDecisions(pb.WatchDecisionsRequest(tenant=tenant))
        try:
            async for reply in call:
                yield read_logged(reply.decision)
        except grpc.RpcError as error:
            raise translated(error) from error
        finally:
            call.cancel()

    async def _call(self, method: Any, request: object) -> Any:
        try:
            return await method(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from error


class SyncAdminClient:
    """The admin port over a blocking channel; its calls mean what those of `AdminClient` mean.

    with SyncAdminClient("127.0.0.1:50052") as admin:
        print(admin.status().mode)
    """

    def __init__(
        self,
        target: str = DEFAULT_ADMIN_TARGET,
        *,
        timeout_s: float = ADMIN_TIMEOUT_S,
        token: str = "",
        tls: TLS | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._channel = blocking_channel(target, token, tls)
        self._stub = pb_grpc.AdminStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def status(self) -> ServerStatus:
        """How the replica is."""
        return read_status(self._call(self._stub.GetStatus, pb.GetStatusRequest()))

    def plans(self) -> tuple[PlanInfo, ...]:
        """The menu."""
        found: list[PlanInfo] = []
        token = ""
        while True:
            reply = self._call(self._stub.ListPlans, pb.ListPlansRequest(page_token=token))
            found += (read_plan(plan) for plan in reply.plans)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    def backends(self) -> tuple[BackendInfo, ...]:
        """The model servers."""
        found: list[BackendInfo] = []
        token = ""
        while True:
            reply = self._call(self._stub.ListBackends, pb.ListBackendsRequest(page_token=token))
            found += (read_backend(item) for item in reply.backends)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    def set_mode(self, mode: Mode, tenant: str = "", share: float | None = None) -> Mode:
        """Let `mode` hold from now on; returns what held before."""
        request = pb.SetModeRequest(mode=MODE_NUMBERS[mode], tenant=tenant, share=share)
        return read_enum("mode", self._call(self._stub.SetMode, request).previous, MODES)

    def set_backend_state(self, backend: str, state: BackendState) -> BackendInfo:
        """Take a backend of the replica out of service, or back; returns how it is now. Raises `NotFound`."""
        request = pb.SetBackendStateRequest(backend=backend, state=BACKEND_STATE_NUMBERS[state])
        return read_backend(self._call(self._stub.SetBackendState, request).backend)

    def bundles(self) -> tuple[BundleSeen, ...]:
        """What was learned, the newest first, and what each of it is used for."""
        found: list[BundleSeen] = []
        token = ""
        while True:
            reply = self._call(self._stub.ListBundles, pb.ListBundlesRequest(page_token=token))
            found += (read_bundle(item) for item in reply.bundles)
            token = reply.next_page_token
            if not token:
                return tuple(found)

    def promote_bundle(
        self, version: str, to: BundleState | None = None, share: float | None = None
    ) -> BundleSeen:
        """Let a bundle take its next place, or the one that is said; see `AdminClient`."""
        state = pb.BUNDLE_STATE_UNSPECIFIED if to is None else BUNDLE_STATE_NUMBERS[to]
        request = pb.PromoteBundleRequest(version=version, to=state, share=share)
        return read_bundle((self._call(self._stub.PromoteBundle, request)).bundle)

    def rollback_bundle(self, to_version: str = "") -> BundleSeen:
        """End what is being tried; where nothing is, or a version is named, another bundle is active again."""
        request = pb.RollbackBundleRequest(to_version=to_version)
        return read_bundle((self._call(self._stub.RollbackBundle, request)).bundle)

    def budget(self, account: str = "") -> Budget:
        """An account; by default the one of everything. Raises `NotFound` with the choices."""
        return read_budget(self._call(self._stub.GetBudget, pb.GetBudgetRequest(account=account)))

    def set_budget(self, limit: int | None, account: str = "") -> AccountBalance:
        """Another limit, in micro-units of the account's unit, from now on; None: no limit."""
        request = pb.SetBudgetRequest(account=account or ALL, limit=limit)
        return read_balance(self._call(self._stub.SetBudget, request).balance)

    def decision(self, decision_id: str) -> LoggedDecision:
        """One row, with what was reported about it. Raises `NotFound`."""
        request = pb.GetDecisionRequest(decision_id=decision_id)
        return read_logged(self._call(self._stub.GetDecision, request).decision)

    def decisions(self, tenant: str = "", page_size: int = 100) -> Iterator[LoggedDecision]:
        """All rows, newest first, page by page as they are asked for."""
        token = ""
        while True:
            request = pb.ListDecisionsRequest(page_size=page_size, page_token=token, tenant=tenant)
            reply = self._call(self._stub.ListDecisions, request)
            for decision in reply.decisions:
                yield read_logged(decision)
            token = reply.next_page_token
            if not token:
                return

    def _call(self, method: Any, request: object) -> Any:
        try:
            return method(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from error
