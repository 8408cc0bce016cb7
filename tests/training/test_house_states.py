"""The recording with hidden states that ships: what it promises, and that it is a part of the house recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictors.observation import Piece
from router.recording import Recording
from training.house import SHIPPED
from training.house_states import OUT


@pytest.fixture(scope="module")
def shipped() -> Recording:
    return Recording.load(OUT)


def test_at_least_500_queries_have_the_states_of_four_samples_of_the_small_model(shipped: Recording) -> None:
    seen = shipped.columns
    small = np.flatnonzero(seen.backend == shipped.backends.index("small"))
    vectors = [shipped.hidden(int(row)) for row in small[::50]]
    assert all(one is not None and one.shape == (1152,) and np.isfinite(one).all() for one in vectors)
    assert shipped.cells["hidden"].null_count == len(seen) - len(small)
    queries, samples = np.unique(seen.query[small], return_counts=True)
    assert len(queries) >= 500
    assert set(samples.tolist()) == {4}
    assert shipped.pieces("small") == (Piece("prompt_last", 20, 576), Piece("answer_mean", 20, 576))


def test_prompts_states_are_those_of_their_query_and_answers_states_of_their_sample(
    shipped: Recording,
) -> None:
    for query in shipped.queries[::300]:
        rows = shipped.rows(shipped.by_id[query.query_id], "small")
        vectors = [shipped.hidden(row) for row in range(rows.start, rows.stop)]
        known = [one.astype(np.float64) for one in vectors if one is not None]
        prompts = [one[:576] / np.linalg.norm(one[:576]) for one in known]
        assert min(float(prompts[0] @ other) for other in prompts[1:]) > 0.999
        texts = {shipped.value(row, "text") for row in range(rows.start, rows.stop)}
        assert len({one[576:].tobytes() for one in known}) >= len(texts)


def test_apart_from_the_states_it_says_what_the_house_recording_says(shipped: Recording) -> None:
    house = Recording.load(SHIPPED)
    for row in range(0, len(shipped.columns), 100):
        query_id = shipped.queries[int(shipped.columns.query[row])].query_id
        backend = shipped.backends[int(shipped.columns.backend[row])]
        mine = shipped.sample(row)
        (theirs,) = [one for one in house.samples(query_id, backend) if one.sample_idx == mine.sample_idx]
        assert (mine.text, mine.answer, mine.finish_reason) == (
            theirs.text,
            theirs.answer,
            theirs.finish_reason,
        )
        assert shipped.columns.reward[row] == house.columns.reward[theirs.row]


def test_all_recordings_together_are_small() -> None:
    folder = Path(SHIPPED).parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 20e6
