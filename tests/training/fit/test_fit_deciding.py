"""What a fit with a configuration learns for deciding, as a bundle that was saved, loaded and served."""

from __future__ import annotations

import pytest

from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.configuration.file import load
from router.stopping.confident import Confident
from training.fit.from_recordings import fit

ROUTER = """
bundle = "bundle"
[store]
sqlite = ":memory:"
[backends.small]
kind = "recorded"
recording = "made"
price_in = 0.1
price_out = 0.2
[backends.large]
kind = "recorded"
recording = "made"
price_in = 1.0
price_out = 2.0
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
[[plans]]
name = "careful"
stages = [{ backend = "small", stop = { kind = "confident", risk = 0.1 } }, { backend = "large" }]
[[plans]]
name = "too-careful"
stages = [{ backend = "small", stop = { kind = "confident", risk = 0.001 } }, { backend = "large" }]
[[plans]]
name = "hop"
stages = [{ backend = "small", stop = { kind = "hop", to = "large" } }, { backend = "large" }]
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("deciding")
    recording = record(folder / "made", 200, draws=2)
    (folder / "router.toml").write_text(ROUTER)
    config = load(folder / "router.toml")
    card = fit([recording], None, config, 0, folder / "bundle")
    return folder, config, card


def look(bundle: Bundle, kind: str) -> dict[str, float]:
    text = f"Which {kind} is the largest of group 5000?"
    return dict(bundle.look(Query("r", (Message("user", (Part(text=text),)),))).signals)


async def test_a_promised_risk_is_a_threshold_where_the_bundle_is_served(planned):
    folder, config, card = planned
    service = assemble(config, base=folder)
    rules = {name: plan.stages[0].stop for name, plan in service.plans.items()}
    careful, too_careful = rules["careful"], rules["too-careful"]
    assert isinstance(careful, Confident) and careful.threshold is not None
    assert isinstance(too_careful, Confident) and too_careful.threshold is None
    # the digests of the card are those of the plans as they are served
    assert card.plans == {name: plan.digest for name, plan in service.plans.items()}
    degraded = service.allocator.books.settings.degraded
    assert any("'too-careful'" in words for words in degraded)
    assert not any("'careful'" in words for words in degraded)
    assert service.allocator.books.chooser.quality_prices is not None
    await service.close()


def test_the_table_knows_that_a_second_look_helps_on_hard_queries(planned):
    bundle = load_bundle(planned[0] / "bundle")
    hard, easy = look(bundle, "prime"), look(bundle, "river")
    assert hard["helps/too-careful"] > 0.3  # .2 alone, .8 where large always answers
    assert easy["helps/too-careful"] < hard["helps/too-careful"] - 0.2
    assert hard["table_quality/small"] < 0.5 < easy["table_quality/small"]


def test_going_on_is_fitted_for_both_backends(planned):
    deciding = load_bundle(planned[0] / "bundle").deciding
    assert [values.first for values in deciding.hops] == [0, 1]
    assert deciding.typical is not None and len(deciding.typical.chars) == 200
