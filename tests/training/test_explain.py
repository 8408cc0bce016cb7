"""`apportion explain` says what one row of the log holds, in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from predictors.observation import Constraints, Message, Part, Query
from router.assemble import assemble
from router.configuration.file import load
from router.domain.decision import Mode, Outcome
from router.domain.events import Done
from router.domain.options import Options
from training.errors import TrainingError
from training.explain import explain, found_in, in_words
from training.explain_signals import signals_in_words

TOML = """
[backends.small]
kind = "scripted"
script = ["4", "4", "5"]
price_out = 1.0
[backends.large]
kind = "scripted"
script = ["5"]
[[plans]]
name = "vote"
stages = [{ backend = "small", max_samples = 3, stop = { kind = "agreement", needed = 2 } }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
[store]
sqlite = "decisions.db"
"""


@pytest.fixture
async def asked(tmp_path):
    """A store with one decision whose caller allowed one backend only; its path and the id."""
    (tmp_path / "router.toml").write_text(TOML)
    service = assemble(load(tmp_path / "router.toml"), base=tmp_path)
    query = Query(
        "r1", (Message("user", (Part(text="2 + 2?"),)),), constraints=Constraints(denied_backends=("large",))
    )
    events = [event async for event in service.allocator.run(query, Options())]
    assert isinstance(events[-1], Done)
    name = events[-1].decision.decision_id
    await service.store.report([Outcome("o", "thumbs", True, "bool", name, source="user")])
    await service.close()
    return tmp_path, name


async def test_a_decision_is_told_with_odds_votes_the_stop_and_its_outcomes(asked):
    folder, name = asked
    said = "\n".join(in_words(*found_in(str(folder / "decisions.db"), name)))
    assert "plan vote at odds of 1" in said
    assert "large: " in said.partition("plans that could not:")[2].partition("what happened")[0]
    assert "votes class 0: 2" in said
    assert "it stopped: enough: agreement" in said
    assert "outcome: thumbs = True by user" in said


def test_what_was_predicted_is_told_kind_by_kind_with_what_it_means():
    said = list(
        signals_in_words({"odd/x": 2.0, "p_correct/b": 0.5, "p_correct/a": 0.25, "sample_confidence": 1.0})
    )
    assert said == [
        "  a single sample is right (p_correct): a 0.25, b 0.5",
        "  the sample that came is right (sample_confidence): 1",
        "  odd: x 2",
    ]


async def test_what_apply_would_have_drawn_is_not_told_as_if_it_had_been(asked):
    folder, name = asked
    row, outcomes = found_in(str(folder / "decisions.db"), name)
    observed = replace(row, mode=Mode.OBSERVE, plan="large", would_plan="vote", would_propensity=1.0)
    said = "\n".join(in_words(observed, outcomes))
    assert "<- apply would draw it" in said
    assert "<- drawn" not in said
    assert "<- drawn" in "\n".join(in_words(row, outcomes))


async def test_samples_that_were_begun_and_did_not_come_are_counted(asked):
    folder, name = asked
    row, outcomes = found_in(str(folder / "decisions.db"), name)
    assert " more, cut" not in "\n".join(in_words(row, outcomes))
    begun = {backend: replace(used, samples=used.samples + 2) for backend, used in row.usage.items()}
    said = "\n".join(in_words(replace(row, usage=begun), outcomes))
    assert "  2 more, cut or not kept; in the cost, too" in said


async def test_the_json_form_has_the_row_and_its_outcomes(asked, capsys):
    folder, name = asked
    explain(name, "", folder / "router.toml", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["decision"]["decision_id"] == name
    assert list(said["decision"]["infeasible"]) == ["large"]
    assert said["outcomes"][0]["metric"] == "thumbs"


@pytest.mark.parametrize("name", ["0" * 32, "nothing"])
async def test_a_decision_that_is_not_there_is_named(asked, name):
    with pytest.raises(TrainingError, match=name):
        found_in(str(asked[0] / "decisions.db"), name)


async def test_an_answer_whose_text_is_not_kept_is_told_as_one_and_money_in_dollars(asked):
    folder, name = asked
    row, outcomes = found_in(str(folder / "decisions.db"), name)
    unkept = tuple(replace(sample, answer=None) for sample in row.samples)
    said = "\n".join(in_words(replace(row, samples=unkept, answer=None, reserved=2516), outcomes))
    assert "small #0: an answer (not kept)" in said and "no answer" not in said
    assert " of $0.002516 set aside" in said
    mute = tuple(replace(sample, answer=None, answer_class=None) for sample in row.samples)
    assert "small #0: no answer" in "\n".join(in_words(replace(row, samples=mute), outcomes))
