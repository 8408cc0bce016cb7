"""Nothing is asked of a judge twice; a judge that is away is asked again, and one that refuses is not."""

from __future__ import annotations

import pytest

from router.errors import BackendUnavailable
from router.verifiers.judge import Judge
from training.errors import TrainingError
from training.judging.asking import TRIES, Asked, ask_all, judge_backend
from training.judging.cache import Comparison, JudgeCache


async def test_what_was_asked_before_is_not_asked_again(bench, tmp_path, judged, questions):
    asked = questions(["To {query}: 7"])
    first = await judged(bench, tmp_path, "honest", asked)
    sent = len(bench.bodies)
    second = await judged(bench, tmp_path, "honest", asked)
    assert len(bench.bodies) == sent
    assert (second.asked.questions, second.asked.kept) == (0, sent)
    assert second.scores == first.scores
    assert (second.asked.tokens_in, second.asked.tokens_out) == (100 * sent, sent)
    assert (first.asked.tokens_in, first.asked.tokens_out) == (100 * sent, sent)


async def test_another_model_or_length_is_another_judge(bench, tmp_path):
    comparison = Comparison("q", "a", "b")
    path = tmp_path / "c.jsonl"
    judge = Judge(url=bench.url, model="honest")
    backend, _ = judge_backend(judge)
    with JudgeCache(path, "honest", 16) as cache:
        await ask_all([comparison], backend, cache, max_tokens=16, concurrency=1, asked=Asked())
        assert cache.get(comparison) is not None
        assert cache.get(Comparison("q", "b", "a")) is None
    await backend.close()
    for model, tokens in (("longest", 16), ("honest", 17)):
        with JudgeCache(path, model, tokens) as cache:
            assert cache.get(comparison) is None


async def test_a_run_that_was_stopped_goes_on_where_it_was_also_after_a_torn_line(
    bench, tmp_path, judged, questions
):
    asked = questions(["To {query}: 7"])
    await judged(bench, tmp_path, "honest", asked)
    path = tmp_path / "r.judged.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:100]) + lines[100][:20])
    bench.bodies.clear()
    result = await judged(bench, tmp_path, "honest", asked)
    assert len(bench.bodies) == len(lines) - 100
    assert result.asked.kept == 100
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_damaged_file_is_named_and_two_gradings_do_not_mix(tmp_path):
    path = tmp_path / "c.jsonl"
    with JudgeCache(path, "m", 16), pytest.raises(TrainingError, match="another grading"):
        JudgeCache(path, "m", 16)
    path.write_text('{"key": "k"}\n')
    with pytest.raises(TrainingError, match="line 1 is no verdict"):
        JudgeCache(path, "m", 16)
    path.write_text("")
    with JudgeCache(path, "m", 16):
        pass


async def test_a_server_that_is_away_for_a_moment_is_asked_again(bench, tmp_path):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    bench.statuses = [503, 502, 503]
    backend, _ = judge_backend(Judge(url=bench.url, model="honest"))
    try:
        with JudgeCache(tmp_path / "c.jsonl", "honest", 16) as cache:
            asked = Asked()
            await ask_all(
                [Comparison("q", "a", "b")],
                backend,
                cache,
                max_tokens=16,
                concurrency=1,
                asked=asked,
                sleep=sleep,
            )
            assert asked.questions == 1
            assert pauses == [0.5, 1.0, 2.0]
            bench.statuses = [503] * TRIES
            with pytest.raises(BackendUnavailable):
                await ask_all(
                    [Comparison("q", "c", "d")],
                    backend,
                    cache,
                    max_tokens=16,
                    concurrency=1,
                    asked=asked,
                    sleep=sleep,
                )
            assert not bench.statuses
    finally:
        await backend.close()


async def test_a_question_that_the_server_refuses_is_left_unjudged_and_counted(
    bench, tmp_path, judged, questions
):
    asked = questions(["To {query}: 7"])
    bench.refuses = "To Question 7?: 7"
    result = await judged(bench, tmp_path, "honest", asked)
    assert [case.query for (case, _), score in result.scores.items() if score is None] == ["Question 7?"]
    assert result.asked.refused == 2
    assert "too long" in result.asked.last_refusal


async def test_a_server_that_refuses_everything_is_said_to(bench, tmp_path, judged, questions):
    bench.refuses = "Which is better?"
    with pytest.raises(TrainingError, match=r"refuses every question: .*too long"):
        await judged(bench, tmp_path, "honest", questions(["To {query}: 7"]))
