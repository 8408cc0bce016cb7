"""With [auth]: nobody comes in without a token, and a tenant's token reads, spends and reports its own alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from router.assemble import Service, assemble
from router.auth.tokens import entry_text, hash_of
from router.client import AdminClient, ApportionError, Client, Mode, NotFound, Report, SyncClient
from router.config import Config
from router.server import Addresses, Servers

TOKENS = {"of-a": ("a", "caller"), "of-b": ("b", "caller"), "of-ops": ("ops", "operator")}
SIGNER = Ed25519PrivateKey.generate()


def web_token(tenant: str, role: str = "caller", **claims: Any) -> str:
    said = {"iss": "i", "aud": "apportion", "exp": time.time() + 60, "tenant": tenant, "role": role, **claims}
    return jwt.encode(said, SIGNER, algorithm="EdDSA", headers={"kid": "k"})


@dataclass
class Guarded:
    service: Service
    addresses: Addresses

    def client(self, token: str) -> Client:
        return Client(self.addresses.router, token=token, timeout_s=20.0, retries=0)

    def admin(self, token: str) -> AdminClient:
        return AdminClient(self.addresses.admin, token=token)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    text = "".join(entry_text(hash_of(token), *whose, "") for token, whose in TOKENS.items())
    (tmp_path / "tokens.toml").write_text(text)
    public = {**json.loads(OKPAlgorithm.to_jwk(SIGNER.public_key())), "kid": "k"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}))
    told: dict[str, Any] = {
        "backends": {"one": {"kind": "scripted", "script": ["the answer is 4"], "price_out": 1.0}},
        "plans": [{"name": "one", "stages": [{"backend": "one"}]}],
        "store": {"sqlite": ":memory:"},
        "auth": {
            "tokens": "tokens.toml",
            "jwt": {"keys": "jwks.json", "issuer": "i", "audience": "apportion"},
        },
        "metrics": {"on_door": True},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"},
    }
    service = assemble(msgspec.convert(told, Config), base=tmp_path)
    servers = Servers(service)
    yield Guarded(service, await servers.start())
    await servers.stop()
    await service.close()


def reason(caught: pytest.ExceptionInfo[ApportionError]) -> str:
    return caught.value.reason


@pytest.mark.parametrize("token", ["", "of-c"])
async def test_without_a_token_that_is_known_no_call_is_answered(guarded, token):
    async with guarded.client(token) as client:
        calls: tuple[Any, ...] = (
            lambda: client.generate("2 + 2?"),
            lambda: client.decide("2 + 2?"),
            lambda: client.estimate("2 + 2?"),
            lambda: client.report("x", "reward", 1.0),
            lambda: client.batches.get("x"),
        )
        for call in calls:
            with pytest.raises(ApportionError) as refused:
                await call()
            assert reason(refused) == "UNAUTHENTICATED"
        with pytest.raises(ApportionError) as refused:
            _ = [event async for event in client.stream("2 + 2?")]
        assert reason(refused) == "UNAUTHENTICATED"


async def test_a_query_counts_for_the_tenant_of_its_token(guarded):
    async with guarded.client("of-a") as client:
        reply = await client.generate("2 + 2?")
        events = [event async for event in client.stream("2 + 3?")]
    assert events
    row = await guarded.service.store.decision(reply.decision_id)
    assert row is not None
    assert row.tenant == "a"


async def test_naming_another_tenant_is_forbidden_and_costs_nothing(guarded):
    async with guarded.client("of-a") as client:
        with pytest.raises(ApportionError) as refused:
            await client.generate("2 + 2?", tenant="b")
        assert reason(refused) == "FORBIDDEN"
        with pytest.raises(ApportionError) as refused:
            await client.report("x", "reward", 1.0, tenant="b")
        assert reason(refused) == "FORBIDDEN"
    assert (await guarded.service.store.decisions(10)).decisions == ()


async def test_an_outcome_about_anothers_decision_is_not_joined_to_it(guarded):
    async with guarded.client("of-a") as mine, guarded.client("of-b") as theirs:
        reply = await mine.generate("2 + 2?")
        await theirs.report(reply.decision_id, "reward", 0.0)
        await theirs.report_many([Report("reward", 0.0, decision_id=reply.decision_id, key="k")])
        await mine.report(reply.decision_id, "reward", 1.0)
    found = await guarded.service.store.outcomes(reply.decision_id)
    assert [(one.tenant, one.value) for one in found] == [("a", 1.0)]


async def test_anothers_decision_has_no_usage_to_report(guarded):
    async with guarded.client("of-a") as mine, guarded.client("of-b") as theirs:
        decided = await mine.decide("2 + 2?")
        with pytest.raises(NotFound):
            await theirs.report_usage(decided.decision_id, {}, final=True)
        await mine.report_usage(decided.decision_id, {}, final=True)


async def test_anothers_request_id_is_another_request(guarded):
    async with guarded.client("of-a") as mine, guarded.client("of-b") as theirs:
        one = await mine.generate("2 + 2?", request_id="r1")
        again = await mine.generate("2 + 2?", request_id="r1")
        other = await theirs.generate("2 + 2?", request_id="r1")
    assert one.decision_id == again.decision_id != other.decision_id


async def test_admin_is_for_operators(guarded):
    async with guarded.admin("of-a") as admin:
        with pytest.raises(ApportionError) as refused:
            await admin.status()
        assert reason(refused) == "FORBIDDEN"
    async with guarded.admin("") as admin:
        with pytest.raises(ApportionError) as refused:
            await admin.set_mode(Mode.BYPASS)
        assert reason(refused) == "UNAUTHENTICATED"
    async with guarded.admin("of-ops") as admin:
        assert (await admin.status()).mode is Mode.APPLY
        assert [row async for row in admin.decisions()] == []


async def test_health_needs_no_token(guarded):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(guarded.addresses.router) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == 1


async def test_the_blocking_client_says_who_it_is_too(guarded):
    import asyncio

    def asked() -> str:
        with SyncClient(guarded.addresses.router, token="of-b") as client:
            return client.generate("2 + 2?").decision_id

    row = await guarded.service.store.decision(await asyncio.to_thread(asked))
    assert row is not None
    assert row.tenant == "b"


async def test_a_web_token_asks_spends_and_reports_as_its_tenant_alone(guarded):
    async with guarded.client(web_token("a")) as mine, guarded.client(web_token("b")) as theirs:
        reply = await mine.generate("2 + 2?")
        with pytest.raises(ApportionError) as refused:
            await mine.generate("2 + 2?", tenant="b")
        assert reason(refused) == "FORBIDDEN"
        await theirs.report(reply.decision_id, "reward", 0.0)
        decided = await mine.decide("2 + 2?")
        with pytest.raises(NotFound):
            await theirs.report_usage(decided.decision_id, {}, final=True)
    row = await guarded.service.store.decision(reply.decision_id)
    assert row.tenant == "a"
    assert await guarded.service.store.outcomes(reply.decision_id) == ()


@pytest.mark.parametrize("claims", [{"exp": 1.0}, {"aud": "another"}, {"iss": "j"}])
async def test_a_web_token_that_is_over_or_for_others_opens_no_door(guarded, claims):
    said = web_token("a", "operator", **claims)
    for opened in (guarded.client(said), guarded.admin(said)):
        async with opened as client:
            with pytest.raises(ApportionError) as refused:
                await (client.generate("2 + 2?") if isinstance(client, Client) else client.status())
            assert reason(refused) == "UNAUTHENTICATED"
    assert (await posted(guarded, "/v1/chat/completions", said, CHAT))[0] == 401
    assert (await posted(guarded, "/console/api/GetStatus", said, {}))[0] == 401


async def test_admin_is_for_operators_among_web_tokens_too(guarded):
    async with guarded.admin(web_token("a")) as admin:
        with pytest.raises(ApportionError) as refused:
            await admin.status()
        assert reason(refused) == "FORBIDDEN"
    async with guarded.admin(web_token("ops", "operator")) as admin:
        assert (await admin.status()).mode is Mode.APPLY
    assert (await posted(guarded, "/v1/chat/completions", web_token("a"), CHAT))[0] == 200
    assert (await posted(guarded, "/console/api/GetStatus", web_token("a"), {}))[0] == 403


CHAT = {"model": "auto", "messages": [{"role": "user", "content": "2 + 2?"}]}


async def posted(guarded: Guarded, path: str, token: str, body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http:
        url = f"http://{guarded.addresses.http}{path}"
        async with http.post(url, json=body, headers=headers) as reply:
            return reply.status, (await reply.json() if "json" in reply.content_type else await reply.text())


async def test_the_openai_door_asks_for_the_same_tokens(guarded):
    status, told = await posted(guarded, "/v1/chat/completions", "", CHAT)
    assert (status, told["error"]["code"]) == (401, "invalid_api_key")
    status, told = await posted(guarded, "/v1/chat/completions", "of-a", CHAT)
    assert status == 200, told
    rows = (await guarded.service.store.decisions(10)).decisions
    assert [row.tenant for row in rows] == ["a"]
    named = CHAT | {"router": {"tenant": "b"}}
    assert (await posted(guarded, "/v1/chat/completions", "of-a", named))[0] == 403


async def test_feedback_at_the_door_is_the_tenants_own(guarded):
    _, told = await posted(guarded, "/v1/chat/completions", "of-a", CHAT)
    about = {"id": told["id"], "metric": "reward", "value": 1.0}
    assert (await posted(guarded, "/v1/feedback", "", about))[0] == 401
    assert (await posted(guarded, "/v1/feedback", "of-b", about))[0] == 200
    (row,) = (await guarded.service.store.decisions(10)).decisions
    assert await guarded.service.store.outcomes(row.decision_id) == ()


async def test_the_console_and_metrics_are_for_operators(guarded):
    call = "/console/api/GetStatus"
    assert (await posted(guarded, call, "", {}))[0] == 401
    assert (await posted(guarded, call, "of-a", {}))[0] == 403
    assert (await posted(guarded, call, "of-ops", {}))[0] == 200
    async with aiohttp.ClientSession() as http:
        for token, status in (("of-a", 403), ("of-ops", 200)):
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(f"http://{guarded.addresses.http}/metrics", headers=headers) as reply:
                assert reply.status == status
        async with http.get(f"http://{guarded.addresses.http}/health") as reply:
            assert reply.status == 200
        async with http.get(f"http://{guarded.addresses.http}/v1/models") as reply:
            assert reply.status == 401
