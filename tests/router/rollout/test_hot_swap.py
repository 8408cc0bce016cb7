"""Bundles change while queries run; what may not serve is refused with a reason; every replica follows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from predictors.bundle_files import save_bundle
from predictors.observation import Message, Part, Query
from router.client import ApportionError, Reply
from router.clients.admin_types import BundleSeen
from router.commands.bundles import _said
from router.domain.decision import Mode
from router.domain.events import Done
from router.domain.options import Options
from router.rollout.releases import BundleState


async def until(true, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not await true():  # noqa: ASYNC110 (another replica makes it so)
            await asyncio.sleep(0.01)


async def bundle_of(house) -> str:
    reply: Reply = await house.client.generate("What is 1 + 2?")
    return reply.decision.bundle


async def test_a_promoted_bundle_decides_the_next_query(serving, three_bundles):
    version = three_bundles[0].version
    async with serving() as house:
        assert await bundle_of(house) == ""
        seen = await house.admin.promote_bundle(version, BundleState.ACTIVE)
        assert (seen.version, seen.state, seen.share) == (version, BundleState.ACTIVE, 1.0)
        assert await bundle_of(house) == version
        assert (await house.admin.status()).bundle == version


async def test_the_bundle_that_the_configuration_names_is_listed_with_its_card(serving, shelf, three_bundles):
    version = three_bundles[0].version
    shelf.place(version).rename(shelf.folder.parent / "elsewhere")  # it need not lie among the others
    async with serving(top='bundle = "elsewhere"') as house:
        (found,) = (one for one in await house.admin.bundles() if one.version == version)
    assert (found.note, found.state) == ("configured", BundleState.ACTIVE)
    assert found.metrics  # of its card, which says when it was fitted, too


async def test_the_configured_bundle_is_listed_as_what_decides_though_a_copy_lies_on_the_shelf(
    serving, shelf, three_bundles
):
    one, other, _ = (bundle.version for bundle in three_bundles)

    def listed(seen: list[BundleSeen]) -> dict[str, tuple[BundleState, float, str]]:
        return {each.version: (each.state, each.share, each.note) for each in seen}

    async with serving(top=f'bundle = "bundles/{one}"') as house:
        assert await bundle_of(house) == one
        before = listed(await house.admin.bundles())
        await house.admin.promote_bundle(other, BundleState.CANARY, 0.25)
        tried = listed(await house.admin.bundles())
        await house.admin.promote_bundle(other, BundleState.ACTIVE)
        after = listed(await house.admin.bundles())
    assert before[one] == (BundleState.ACTIVE, 1.0, "configured")
    assert (tried[one], tried[other][:2]) == (
        (BundleState.ACTIVE, 0.75, "configured"),
        (BundleState.CANARY, 0.25),
    )
    assert (after[one][1], after[other][:2]) == (0.0, (BundleState.ACTIVE, 1.0))


async def test_bundles_are_listed_with_what_they_are_used_for(serving, three_bundles):
    one, other, third = (bundle.version for bundle in three_bundles)
    async with serving() as house:
        await house.admin.promote_bundle(one, BundleState.ACTIVE)
        await house.admin.promote_bundle(other, BundleState.CANARY, 0.25)
        found = {seen.version: (seen.state, seen.share) for seen in await house.admin.bundles()}
    assert found == {
        one: (BundleState.ACTIVE, 0.75),
        other: (BundleState.CANARY, 0.25),
        third: (BundleState.CANDIDATE, 0.0),
    }


async def test_a_canary_decides_for_about_its_share_of_requests(serving, three_bundles):
    one, other = (bundle.version for bundle in three_bundles[:2])
    async with serving() as house:
        await house.admin.promote_bundle(one, BundleState.ACTIVE)
        await house.admin.promote_bundle(other, BundleState.CANARY, 0.25)
        replies = [await house.client.generate("2 + 2?", request_id=f"r{at}") for at in range(200)]
    taken = [reply.decision.bundle for reply in replies]
    assert set(taken) == {one, other}
    assert 30 <= taken.count(other) <= 72  # 50 ± 3.6 standard deviations


async def test_a_session_meets_one_bundle_only(serving, three_bundles):
    async with serving() as house:
        await house.admin.promote_bundle(three_bundles[1].version, BundleState.CANARY, 0.5)
        replies = [await house.client.generate(f"{at} + 2?", session_id="s") for at in range(12)]
    assert len({reply.decision.bundle for reply in replies}) == 1


async def test_one_command_goes_back_to_the_bundle_before(serving, three_bundles):
    one, other = (bundle.version for bundle in three_bundles[:2])
    async with serving() as house:
        await house.admin.promote_bundle(one, BundleState.ACTIVE)
        await house.admin.promote_bundle(other, BundleState.ACTIVE)
        assert (await house.admin.rollback_bundle()).version == one
        assert await bundle_of(house) == one


async def test_rollback_of_the_only_bundle_says_that_none_decides(serving, three_bundles):
    async with serving() as house:
        await house.admin.promote_bundle(three_bundles[0].version, BundleState.ACTIVE)
        back = await house.admin.rollback_bundle()
        assert (back.version, back.state, back.share) == ("", BundleState.RETIRED, 1.0)
        assert await bundle_of(house) == ""
    assert _said(back) == "no bundle decides now: the configuration names none, plans are chosen untrained"


async def test_rollback_to_the_bundle_of_the_configuration_names_it(serving, shelf, three_bundles):
    one, other = (bundle.version for bundle in three_bundles[:2])
    async with serving(top=f'bundle = "bundles/{one}"') as house:
        await house.admin.promote_bundle(other, BundleState.ACTIVE)
        back = await house.admin.rollback_bundle()
        assert await bundle_of(house) == one
    assert _said(back) == f"bundle {one}: active, the configuration's, 100% of traffic"


async def test_a_restarted_replica_serves_the_bundle_that_was_promoted(serving, three_bundles):
    version = three_bundles[0].version
    async with serving() as house:
        await house.admin.promote_bundle(version, BundleState.ACTIVE)
    async with serving() as house:
        assert await bundle_of(house) == version


def damaged(shelf, bundle) -> None:
    (shelf.folder / bundle.version / "query.npz").write_bytes(b"torn")


def on_other_features(shelf, bundle) -> None:
    path = shelf.folder / bundle.version / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"features": "of another version"}))


def of_other_backends(shelf, bundle) -> None:
    card = replace(bundle.card, backends=("mini", "maxi"), pairs=(("mini", "maxi"),))
    save_bundle(replace(bundle, card=card), shelf.folder / bundle.version)


def out_of_range(shelf, bundle) -> None:
    save_bundle(replace(bundle, rho=np.full(2, np.nan)), shelf.folder / bundle.version)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (damaged, "checksum mismatch"),
        (on_other_features, "fit it again"),
        (of_other_backends, "none of them is configured"),
        (out_of_range, "it says p_two_correct/"),
    ],
)
async def test_a_bad_bundle_is_refused_with_the_reason_and_serving_goes_on(
    serving, shelf, three_bundles, spoil, why
):
    good, bad = three_bundles[:2]
    spoil(shelf, bad)
    async with serving() as house:
        await house.admin.promote_bundle(good.version, BundleState.ACTIVE)
        with pytest.raises(ApportionError, match=why):
            await house.admin.promote_bundle(bad.version, BundleState.ACTIVE)
        assert await bundle_of(house) == good.version
        assert shelf.releases().active == good.version


async def test_an_alias_that_names_a_bad_bundle_changes_nothing_but_the_status(serving, shelf, three_bundles):
    good, bad = three_bundles[:2]
    damaged(shelf, bad)
    async with serving() as house:
        await house.admin.promote_bundle(good.version, BundleState.ACTIVE)
        shelf.keep(shelf.releases().promoted(bad.version, BundleState.ACTIVE, at=1.0))

        async def told() -> bool:
            return any("is refused" in text for text in (await house.admin.status()).degraded)

        await until(told)
        assert await bundle_of(house) == good.version


async def test_what_serves_in_the_place_of_a_bad_bundle_goes_on_when_something_else_is_promoted(
    serving, shelf, three_bundles
):
    good, bad, tried = three_bundles
    damaged(shelf, bad)
    async with serving() as house:
        await house.admin.promote_bundle(good.version, BundleState.ACTIVE)
        shelf.keep(shelf.releases().promoted(bad.version, BundleState.ACTIVE, at=1.0))
        await house.service.rollout.look()
        shelf.keep(shelf.releases().promoted(tried.version, BundleState.SHADOW, at=2.0))
        await house.service.rollout.look()
        assert await bundle_of(house) == good.version


async def test_a_bundle_that_comes_later_than_its_promotion_serves_when_it_is_there(
    serving, shelf, three_bundles
):
    good, late = three_bundles[:2]
    aside = shelf.folder / "not-yet"
    async with serving() as house:
        await house.admin.promote_bundle(good.version, BundleState.ACTIVE)
        shelf.place(late.version).rename(aside)
        shelf.keep(shelf.releases().promoted(late.version, BundleState.ACTIVE, at=1.0))
        await house.service.rollout.look()
        assert await bundle_of(house) == good.version
        aside.rename(shelf.folder / late.version)

        async def serves() -> bool:
            return bool(await bundle_of(house) == late.version)

        await until(serves)
        assert not house.service.rollout.troubles


async def test_without_a_folder_of_bundles_promotion_says_what_to_configure(serving, three_bundles):
    async with serving() as house:
        house.service.rollout.shelf = None
        with pytest.raises(ApportionError, match="bundles ="):
            await house.admin.promote_bundle(three_bundles[0].version)


async def test_other_replicas_follow_a_promotion_and_a_mode(serving, three_bundles, tmp_path):
    version = three_bundles[0].version
    async with serving(ledger="shared.db") as one, serving(ledger="shared.db") as other:
        await one.admin.promote_bundle(version, BundleState.ACTIVE)
        await one.admin.set_mode(Mode.BYPASS)

        async def followed() -> bool:
            found = await other.admin.status()
            return found.bundle == version and found.mode is Mode.BYPASS

        await until(followed)
        assert (await other.client.generate("2 + 2?")).decision.mode is Mode.BYPASS


async def test_the_kill_switch_works_alone_and_is_told_when_the_store_is_back(serving, tmp_path):
    gone = tmp_path / "elsewhere"
    gone.mkdir()
    async with serving(ledger="elsewhere/shared.db") as one, serving(ledger="elsewhere/shared.db") as other:
        writes = one.service.rollout._notes
        dialect = writes._connected.dialect

        def refuse() -> None:
            raise dialect.errors[0]("away")

        writes.close()
        writes._connected.dialect = replace(dialect, connect=refuse)
        await one.admin.set_mode(Mode.BYPASS)
        assert (await one.client.generate("2 + 2?")).decision.mode is Mode.BYPASS
        assert (await other.client.generate("2 + 2?")).decision.mode is Mode.APPLY
        writes._connected.dialect = dialect

        async def told() -> bool:
            return (await other.admin.status()).mode is Mode.BYPASS

        await until(told)


async def test_a_query_in_flight_ends_with_the_bundle_it_began_with(serving, three_bundles):
    one, other = (bundle.version for bundle in three_bundles[:2])
    async with serving() as house:
        await house.admin.promote_bundle(one, BundleState.ACTIVE)
        books = house.service.allocator.books
        query = Query("r1", (Message("user", (Part(text="2 + 2?"),)),))
        walk = house.service.allocator.run(query, Options())
        await anext(walk)
        await house.admin.promote_bundle(other, BundleState.ACTIVE)
        assert books.chooser.predictions.version == other
        last = [event async for event in walk][-1]
        assert isinstance(last, Done)
        assert last.decision.bundle == one
