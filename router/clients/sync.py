"""The same client without asyncio; safe to use from several threads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from predictors.observation import Message
from router.clients.advice_sync import SyncAdvice
from router.clients.advice_types import Charged, usage_request
from router.clients.batches import SyncBatches
from router.clients.channel import DEFAULT_RETRIES, DEFAULT_TARGET, DEFAULT_TIMEOUT_S, blocking_channel
from router.clients.errors import translated
from router.clients.read import read_decided, read_estimate, read_event, read_reply, read_reported_many
from router.clients.request import Ask, generate_request, outcome_request
from router.clients.retry import Attempts
from router.clients.tls import TLS
from router.clients.values import (
    Decided,
    Estimate,
    Reply,
    Report,
    Reported,
    ReportedMany,
    StreamEvent,
    Used,
)
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc

Result = TypeVar("Result")


class SyncClient:
    """The service over a blocking channel; its calls mean what those of `Client` mean.

    with SyncClient("127.0.0.1:50051") as client:
        print(client.generate("What is 17 * 23?").text)
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,  # of a call, all its attempts included
        retries: int = DEFAULT_RETRIES,
        rng: random.Random | None = None,  # of the jitter
        token: str = "",  # says who calls, where the service asks for it
        tls: TLS | None = None,
    ) -> None:
        self.timeout_s, self.retries = timeout_s, retries
        self._rng = rng or random.Random()
        self._channel = blocking_channel(target, token, tls)
        self._stub = pb_grpc.RouterStub(self._channel)
        self.batches = SyncBatches(self._stub, self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        self._channel.close()

    def generate(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Reply:
        """Answer a prompt, or a conversation. Raises `ApportionError`."""
        request = generate_request(prompt, ask)
        return read_reply(self._call(self._stub.Generate, request, timeout_s, retries))

    def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Generator[StreamEvent, None, None]:
        """The same, told as it happens. Leaving the loop cancels the call. Raises `ApportionError`."""
        request = generate_request(prompt, ask)
        attempts = self._attempts(timeout_s, retries, repeatable=True)
        while True:
            told = False
            call = self._stub.GenerateStream(request, timeout=attempts.deadline_s - time.monotonic())
            try:
                for arrived in call:
                    if event := read_event(arrived):
                        told = True
                        yield event
                return
            except grpc.RpcError as error:
                self._wait(attempts, error, told=told)
            finally:
                call.cancel()

    def decide(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Decided:
        """The first decision alone, logged, for callers that call models themselves."""
        request = generate_request(prompt, ask)
        return read_decided(self._call(self._stub.Decide, request, timeout_s, retries, repeatable=False))

    def advise(
        self, prompt: str | Sequence[Message], *, timeout_s: float | None = None, **ask: Unpack[Ask]
    ) -> SyncAdvice:
        """The whole decision over samples that you draw; one thread.

        with client.advise("What is 17 * 23?") as advice:
            for more in advice:
                for text, used in my_models.draw(more):
                    advice.send(Drawn(text, used))
        print(advice.answer.text)
        """
        opening = pb.AdviseRequest(request=generate_request(prompt, ask))
        attempts = self._attempts(timeout_s, None, repeatable=False)
        return SyncAdvice(self._stub.Advise, opening, attempts, self._wait)

    def report_usage(
        self,
        decision_id: str,
        by_backend: Mapping[str, Used],
        *,
        final: bool = True,
        timeout_s: float | None = None,
        retries: int | None = None,
    ) -> Charged:
        """Say what a decided or advised query used, in total so far; `final`: no more, the rest goes back."""
        request = usage_request(decision_id, by_backend, final=final)
        reply = self._call(self._stub.ReportUsage, request, timeout_s, retries)
        return Charged(reply.charged, reply.returned)

    def estimate(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Estimate:
        """What would be chosen and what it would cost; nothing is logged, reserved or drawn."""
        request = generate_request(prompt, ask)
        return read_estimate(self._call(self._stub.EstimateCost, request, timeout_s, retries))

    def report(
        self,
        decision_id: str,
        metric: str,
        value: float | bool | str,
        *,
        kind: str = "",
        source: str = "",
        weight: float | None = None,
        sample_id: str = "",
        key: str = "",
        supersedes: str = "",
        tenant: str = "",
        timeout_s: float | None = None,
        retries: int | None = None,
    ) -> Reported:
        """Say what became of a decision; when it returns, that is committed."""
        report = Report(
            metric,
            value,
            decision_id=decision_id,
            kind=kind,
            sample_id=sample_id,
            source=source,
            weight=weight,
            key=key,
            supersedes=supersedes,
            tenant=tenant,
        )
        reply = self._call(self._stub.ReportOutcome, outcome_request(report), timeout_s, retries)
        return Reported(reply.key, reply.duplicate)

    def report_many(
        self, reports: Sequence[Report], *, timeout_s: float | None = None, retries: int | None = None
    ) -> ReportedMany:
        """Many reports on one stream; the bad ones are named in the result, the others committed."""
        requests = [outcome_request(report) for report in reports]

        def call(_: object, timeout: float) -> Any:
            return self._stub.ReportOutcomes(iter(requests), timeout=timeout)

        return read_reported_many(self._call(call, None, timeout_s, retries))

    def _attempts(self, timeout_s: float | None, retries: int | None, *, repeatable: bool) -> Attempts:
        deadline_s = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        return Attempts(deadline_s, self.retries if retries is None else retries, self._rng, repeatable)

    def _call(
        self,
        method: Callable[..., Result],
        request: object,
        timeout_s: float | None,
        retries: int | None,
        *,
        repeatable: bool = True,
    ) -> Result:
        attempts = self._attempts(timeout_s, retries, repeatable=repeatable)
        while True:
            try:
                return method(request, timeout=attempts.deadline_s - time.monotonic())
            except grpc.RpcError as error:
                self._wait(attempts, error)

    def _wait(self, attempts: Attempts, error: grpc.RpcError, *, told: bool = False) -> None:
        """Sleep until the next attempt; raise where there is none."""
        failure = translated(error)
        wait_s = None if told else attempts.wait_s(failure, time.monotonic())
        if wait_s is None:
            raise failure from error
        time.sleep(wait_s)
