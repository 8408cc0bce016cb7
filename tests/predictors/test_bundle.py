from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from predictors import Predictions
from predictors.bundle_files import fingerprint, load_bundle, save_bundle
from predictors.errors import BundleError
from predictors.observation import Message, Observation, Part, Query, Sample, Tally


def ask(text: str) -> Query:
    return Query("r", (Message("user", (Part(text=text),)),))


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles") / "one"
    save_bundle(bundle, place)
    return place


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_it_is_what_the_router_asks_for(bundle):
    asked: Predictions = bundle
    assert asked.version == bundle.card.version != ""


def test_every_signal_of_the_contract_is_there_and_in_range(bundle, fresh):
    found = bundle.look(ask(fresh.rows.texts[0])).signals
    for backend in ("small", "large"):
        assert 0 <= found[f"p_correct/{backend}"] <= 1
        assert (
            found[f"p_correct/{backend}"] ** 2
            <= found[f"p_two_correct/{backend}"]
            <= found[f"p_correct/{backend}"]
        )
        assert 0 < found[f"tokens_out/{backend}"] <= found[f"tokens_out_p90/{backend}"]
    assert -1 <= found["gain/large/small"] <= 1
    assert found["gain/small/large"] == -found["gain/large/small"]


def test_rewards_are_half_the_gains_and_half_the_probabilities(bundle, fresh):
    found = bundle.look(ask(fresh.rows.texts[0])).signals
    right = found["p_correct/large"] - found["p_correct/small"]
    over = found["reward/large"] - found["reward/small"]
    assert over == pytest.approx((right + found["gain/large/small"]) / 2)
    assert found["reward/large"] + found["reward/small"] == pytest.approx(
        found["p_correct/large"] + found["p_correct/small"]
    )


def test_it_tells_hard_queries_from_easy_ones(bundle, fresh):
    signals = bundle.look_many(fresh.rows.texts)
    for place, backend in enumerate(fresh.rows.backends):
        assert np.abs(signals[f"p_correct/{backend}"] - fresh.truth[:, place]).mean() < 0.06
    assert np.abs(signals["gain/large/small"] - (fresh.truth[:, 1] - fresh.truth[:, 0])).mean() < 0.08


def test_long_answers_are_expected_where_they_are_long(bundle, fresh):
    signals = bundle.look_many(fresh.rows.texts)
    expected, seen = signals["tokens_out/large"], fresh.rows.tokens[:, 1]
    assert np.abs(np.log(expected / seen)).mean() < 0.2
    assert 0.85 < (seen <= signals["tokens_out_p90/large"]).mean() < 0.95


def test_many_looks_are_bit_for_bit_single_looks(bundle, fresh):
    texts = fresh.rows.texts[:100]
    many = bundle.look_many(texts)
    for place, text in enumerate(texts):
        assert {name: values[place] for name, values in many.items()} == bundle.look(ask(text)).signals


def test_looking_at_no_text_gives_no_signals(bundle):
    assert bundle.look_many([]) == {}


def test_threads_get_what_one_gets(bundle, fresh):
    expected = [bundle.look(ask(text)).signals for text in fresh.rows.texts]
    found: dict[int, object] = {}

    def look(first: int) -> None:
        for place in range(first, len(expected), 4):
            found[place] = bundle.look(ask(fresh.rows.texts[place])).signals

    threads = [threading.Thread(target=look, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(len(expected))] == expected


def observed(
    logprob: float, votes: tuple[int, ...] = (), own: int | None = None, answer: str = "42"
) -> Observation:
    sample = Sample(
        "0.0",
        "small",
        f"It is {answer}.",
        mean_logprob=logprob,
        answer=answer,
        answer_class=own,
        tokens_out=20,
    )
    tally = Tally(votes, tuple(map(str, range(len(votes)))), sum(votes))
    return Observation(ask("Tell me the capital city of the country 7 please?"), (sample,), tally=tally)


def test_a_certain_sample_is_trusted_more_than_a_doubtful_one(bundle):
    look = bundle.look(observed(0).query)
    sure, unsure = (bundle.confidence(observed(value), look) for value in (-0.1, -1.5))
    assert 0 <= unsure["sample_confidence"] < sure["sample_confidence"] <= 1
    assert sure["sample_confidence/0.0"] == sure["sample_confidence"]


def test_nothing_came_back_so_nothing_is_said(bundle):
    query = ask("?")
    assert bundle.confidence(Observation(query), bundle.look(query)) == {}


def test_a_backend_that_was_not_fitted_gets_the_base_rate_as_its_prior(bundle):
    seen = observed(-0.1)
    other = replace(seen, samples=(replace(seen.samples[0], backend="new"),))
    assert 0 <= bundle.confidence(other, bundle.look(seen.query))["sample_confidence"] <= 1


def test_a_saved_bundle_predicts_bit_for_bit_the_same(bundle, folder, fresh):
    again = load_bundle(folder)
    assert again.version == bundle.version
    assert fingerprint(again) == fingerprint(bundle)
    for text in fresh.rows.texts[:100]:
        assert again.look(ask(text)) == bundle.look(ask(text))
    seen = observed(-0.7, (2, 1), 0)
    look = bundle.look(seen.query)
    assert again.confidence(seen, look) == bundle.confidence(seen, look)


def test_saving_twice_writes_the_same_bytes(bundle, folder, tmp_path):
    save_bundle(bundle, tmp_path / "again")
    for file in sorted(folder.iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_saving_over_a_bundle_leaves_one_whole_bundle_and_no_drafts(bundle, copy):
    (copy / "left-over").write_text("x")
    save_bundle(bundle, copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert not (copy / "left-over").exists()
    load_bundle(copy)


def test_only_a_bundle_or_an_empty_folder_is_replaced(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    save_bundle(bundle, tmp_path / "empty")
    save_bundle(bundle, tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"is no bundle, for it has no card\.json"):
        save_bundle(bundle, tmp_path / "mine")
    with pytest.raises(BundleError, match="is a file: a bundle is a folder"):
        save_bundle(bundle, tmp_path / "mine" / "notes.txt")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_failed_save_leaves_the_old_bundle(bundle, copy, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr("predictors.bundle_files._npz", full)
    with pytest.raises(OSError, match="no space"):
        save_bundle(bundle, copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    load_bundle(copy)


def test_a_changed_byte_is_found_and_the_file_named(copy):
    written = bytearray((copy / "query.npz").read_bytes())
    written[len(written) // 2] ^= 1
    (copy / "query.npz").write_bytes(written)
    with pytest.raises(BundleError, match=r"query\.npz: checksum mismatch"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["query.npz", "lengths.npz", "sample.npz"])
def test_a_truncated_file_is_refused(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:100])
    with pytest.raises(BundleError, match=rf"{name}: checksum mismatch.*100 bytes"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["card.json", "query.npz", "lengths.npz"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        load_bundle(copy)


def rewrite(place, change) -> None:
    card = json.loads((place / "card.json").read_text())
    change(card)
    (place / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 99}', "\x00\x01", '{"format": 1}'])
def test_a_garbled_card_is_refused(copy, text):
    (copy / "card.json").write_text(text)
    with pytest.raises(BundleError, match=r"card\.json"):
        load_bundle(copy)


def test_a_card_in_broken_unicode_is_refused(copy):
    (copy / "card.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(BundleError, match="is not JSON"):
        load_bundle(copy)


def test_garbage_whose_checksum_fits_is_refused(copy):
    import hashlib

    (copy / "query.npz").write_bytes(b"garbage")
    rewrite(copy, lambda card: card["files"].update({"query.npz": hashlib.sha256(b"garbage").hexdigest()}))
    with pytest.raises(BundleError, match=r"query\.npz is no archive of arrays"):
        load_bundle(copy)


def test_arrays_that_do_not_fit_the_card_are_refused(copy):
    rewrite(copy, lambda card: card["backends"].append("third"))
    with pytest.raises(BundleError, match="expected"):
        load_bundle(copy)


def test_files_swapped_under_right_checksums_are_refused(copy):
    def swap(card) -> None:
        card["files"]["query.npz"], card["files"]["lengths.npz"] = (
            card["files"]["lengths.npz"],
            card["files"]["query.npz"],
        )

    one, other = copy / "query.npz", copy / "lengths.npz"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    rewrite(copy, swap)
    with pytest.raises(BundleError, match="it has no array"):
        load_bundle(copy)


def test_an_array_that_only_an_older_version_wrote_is_asked_of_a_newer_one(copy):
    import hashlib

    with np.load(copy / "lengths.npz") as archive:
        kept = {name: archive[name] for name in archive.files if name != "upper"}
    np.savez(copy / "lengths.npz", **kept)
    written = hashlib.sha256((copy / "lengths.npz").read_bytes()).hexdigest()
    rewrite(copy, lambda card: card["files"].update({"lengths.npz": written}))
    with pytest.raises(BundleError, match=r"it has no array 'upper'; a newer version than this one may have"):
        load_bundle(copy)


def test_features_of_another_version_are_refused_in_words(copy):
    rewrite(copy, lambda card: card.update(features="0" * 16))
    with pytest.raises(
        BundleError, match=r"fitted on features 0000000000000000, this version computes .*: fit it again"
    ):
        load_bundle(copy)


def test_a_card_may_not_point_outside_of_its_folder(copy):
    rewrite(copy, lambda card: card["files"].update({"../secret.npz": "0"}))
    with pytest.raises(BundleError, match="outside of its folder"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["a\0b.npz", "\ud800.npz"])
def test_a_card_may_not_name_what_no_file_can_be_named(copy, name):
    rewrite(copy, lambda card: card["files"].update({name: "0"}))
    with pytest.raises(BundleError, match="no file is named"):
        load_bundle(copy)


def test_a_configuration_that_fits_differs_in_nothing(bundle):
    assert bundle.check(("small", "large"), {}) == []


def test_unknown_backends_and_plans_are_told_in_words(bundle):
    known = replace(bundle, card=replace(bundle.card, plans={"vote": "aaaa"}))
    said = known.check(("small", "huge"), {"vote": "bbbb", "new": "cccc", "renamed": "aaaa"})
    assert len(said) == 3
    assert said[0].startswith("backend 'huge' is not in bundle")
    assert "plan 'vote' (bbbb)" in said[1]
    assert "its rules changed since (it was aaaa)" in said[1]
    assert "plan 'new' (cccc)" in said[2]
