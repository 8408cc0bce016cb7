"""Each format becomes the queries and samples that its files say; a cell that does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import TrainingError
from training.importers.anytime import Anytime
from training.importers.cruxeval import CRUXEval
from training.importers.csv_file import CSV
from training.importers.jsonl import JSONL
from training.importers.reasoning_gym import ReasoningGym
from training.importers.routellm_gsm8k import RouteLLMGSM8K
from training.importers.routellm_mmlu import RouteLLMMMLU
from training.importers.routellm_mt_bench import RouteLLMMTBench
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample


def written(path: Path, content: str | list[Any] | dict[str, Any]) -> Path:
    """A text, JSON lines or JSON file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


LONG = """query_id,query,gold,backend,sample_idx,text,reward,tokens_out,confidence
a,"What is
1+1?",2,small,0,It is 2,1,3,0.5
a,"What is
1+1?",2,small,1,,False,,
b,Où?,,large,0,ici,0.25,7,
"""


def test_csv_is_read_in_long_form(tmp_path):
    rows = CSV().read(written(tmp_path / "x.csv", LONG))
    assert rows.queries == [ImportedQuery("a", "What is\n1+1?", None, "2"), ImportedQuery("b", "Où?")]
    assert rows.samples == [
        ImportedSample("a", "small", 0, text="It is 2", reward=1.0, tokens_out=3, confidence=0.5),
        ImportedSample("a", "small", 1, reward=0.0),
        ImportedSample("b", "large", 0, text="ici", reward=0.25, tokens_out=7),
    ]
    assert rows.backends == ("small", "large")


def test_columns_may_have_other_names_and_ids_may_be_missing(tmp_path):
    source = written(tmp_path / "x.csv", "prompt;right\nWho?;1\nWho?;0\nWhen?;1\n")
    rows = CSV(columns={"query": "prompt", "reward": "right"}, backend="m", delimiter=";").read(source)
    assert [query.query for query in rows.queries] == ["Who?", "When?"]
    assert [(sample.sample_idx, sample.reward) for sample in rows.samples] == [(0, 1.0), (1, 0.0), (0, 1.0)]


@pytest.mark.parametrize(
    ("cell", "column", "problem"),
    [
        ("maybe,1,0.5", "reward", "is no number: 'maybe'"),
        ("1.5,1,0.5", "reward", r"must be in \[0, 1\], got 1.5"),
        ("nan,1,0.5", "reward", "must be in"),
        ("1,1.5,0.5", "tokens_out", "must be whole"),
        ("1,-1,0.5", "tokens_out", "must be in"),
        ("1,1,inf", "latency_s", "must be in"),
    ],
)
def test_a_wrong_cell_is_named_with_file_line_and_column(tmp_path, cell, column, problem):
    source = written(
        tmp_path / "x.csv", f"query,backend,reward,tokens_out,latency_s\nq,m,1,1,1\nq2,m,{cell}\n"
    )
    with pytest.raises(TrainingError, match=rf"x\.csv:3: column '{column}' {problem}"):
        CSV().read(source)


def test_a_row_without_a_query_names_the_columns_that_are_there(tmp_path):
    source = written(tmp_path / "x.csv", "prompt,backend\nq,m\n")
    with pytest.raises(
        TrainingError, match=r"x\.csv:2: column 'query' is missing or empty; columns here: prompt, backend"
    ):
        CSV().read(source)


def test_one_id_with_two_texts_is_refused(tmp_path):
    source = written(tmp_path / "x.csv", "query_id,query,backend\na,one,m\na,two,m\n")
    with pytest.raises(
        TrainingError, match=r"x\.csv:3: column 'query' is another text than before for query_id 'a'"
    ):
        CSV().read(source)


def test_what_one_row_says_of_a_query_holds_for_all_of_its_rows(tmp_path):
    text = "query_id,query,task,gold,backend\na,one,,,m\na,one,sums,2,l\na,one,,,n\n"
    source = written(tmp_path / "x.csv", text)
    assert CSV().read(source).queries == [ImportedQuery("a", "one", "sums", "2")]


@pytest.mark.parametrize("column", ["task", "gold"])
def test_rows_of_one_query_may_not_contradict_each_other(tmp_path, column):
    source = written(tmp_path / "x.csv", f"query,{column},backend\none,2,m\none,,l\none,3,n\n")
    with pytest.raises(TrainingError, match=rf"x\.csv:4: column '{column}' is '3', and was '2' for"):
        CSV().read(source)


def test_rows_without_a_backend_say_how_to_name_it(tmp_path):
    with pytest.raises(TrainingError, match=r"--option backend=NAME, or .* --column backend=THEIRS"):
        CSV().read(written(tmp_path / "x.csv", "query\nq\n"))


def test_an_unknown_column_name_lists_the_choices(tmp_path):
    with pytest.raises(TrainingError, match="unknown name 'promt'; choose from query_id, query"):
        CSV(columns={"promt": "x"}).read(written(tmp_path / "x.csv", "x\ny\n"))


def test_json_lines_keep_types_and_nested_values(tmp_path):
    source = written(
        tmp_path / "x.jsonl",
        [
            {
                "query": "q",
                "backend": "m",
                "reward": True,
                "answer": 12,
                "params": {"temperature": 0.5},
                "text": None,
            },
            {"query": "q", "backend": "m", "reward": 0, "prefix_tokens": 5},
        ],
    )
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())  # the mark that some programs begin with
    first, second = JSONL().read(source).samples
    assert (first.reward, first.answer, first.params, first.text) == (1.0, "12", '{"temperature": 0.5}', None)
    assert (second.sample_idx, second.prefix_tokens) == (0, 5)


def test_a_broken_json_line_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"x\.jsonl:3: not JSON"):
        JSONL().read(written(tmp_path / "x.jsonl", '{"query": "q", "backend": "m"}\n\n{"query": \n'))


def test_mmlu_outcomes_have_the_subject_as_task(tmp_path):
    folder = tmp_path / "routellm/evals/mmlu/responses"
    written(
        folder / "mmlu_law.csv",
        'prompt,org/small,large\n"Is it?\nA. yes\nAnswer:",True,False\nTwo?,False,True\n',
    )
    written(folder / "mmlu_art.csv", "prompt,org/small,large\nThree?,True,True\n")
    rows = RouteLLMMMLU().read(tmp_path)
    assert [(query.query_id, query.task) for query in rows.queries] == [
        ("art-0", "art"),
        ("law-0", "law"),
        ("law-1", "law"),
    ]
    assert [sample.reward for sample in rows.samples if sample.backend == "org/small"] == [1.0, 1.0, 0.0]
    assert rows.queries[1].query == "Is it?\nA. yes\nAnswer:"


def test_contaminated_prompts_are_left_out_where_asked(tmp_path):
    written(tmp_path / "responses/mmlu_art.csv", "prompt,m\nOne?,True\nTwo?,True\n")
    written(tmp_path / "contaminated_prompts.jsonl", [{"eval_prompt": "One?"}])
    assert len(RouteLLMMMLU().read(tmp_path).queries) == 2
    (left,) = RouteLLMMMLU(without_contaminated=True).read(tmp_path).queries
    assert left.query_id == "art-1"


def test_an_mmlu_cell_that_is_no_verdict_is_named(tmp_path):
    written(tmp_path / "mmlu_art.csv", "prompt,m\nOne?,\n")
    with pytest.raises(
        TrainingError, match=r"mmlu_art\.csv:2: column 'm' is empty; True or False is expected"
    ):
        RouteLLMMMLU().read(tmp_path)


def test_gsm8k_outcomes_have_texts_answers_and_gold(tmp_path):
    table = (
        'prompt,m,m_response\nHow many?,True,"1 + 1 = 2\n#### 2"\nHow much?,False,about $10\nSeen?,True,x\n'
    )
    written(tmp_path / "gsm8k_responses.csv", table)
    written(tmp_path / "test.jsonl", [{"question": "How much?", "answer": "so\n#### 1,200"}])
    written(tmp_path / "contaminated_prompts.jsonl", [{"eval_prompt": "Seen?"}])
    rows = RouteLLMGSM8K().read(tmp_path)
    assert [(query.query_id, query.gold) for query in rows.queries] == [
        ("gsm8k-0", None),
        ("gsm8k-1", "1200"),
    ]
    first, second = rows.samples
    assert (first.text, first.answer, first.reward, first.chars_out) == ("1 + 1 = 2\n#### 2", "2", 1.0, 16)
    assert (second.answer, second.reward) == ("$10", 0.0)


def test_mt_bench_scores_are_graded_rewards_per_turn(tmp_path):
    written(tmp_path / "question.jsonl", [{"question_id": 81, "turns": ["Write.", "Again."]}])
    judged = [
        {"question_id": 81, "model": "m", "turn": turn, "score": score} for turn, score in ((1, 10), (2, 5.5))
    ]
    rows = RouteLLMMTBench().read(written(tmp_path / "judgements.jsonl", judged))
    assert [(query.query_id, query.query) for query in rows.queries] == [
        ("81/1", "Write."),
        ("81/2", "Write.\n\nAgain."),
    ]
    assert [sample.reward for sample in rows.samples] == [1.0, 0.5]


def test_a_judgement_without_a_score_is_unlabelled_and_one_without_a_question_refused(tmp_path):
    written(tmp_path / "question.jsonl", [{"question_id": 81, "turns": ["Write."]}])
    judged: dict[str, object] = {"question_id": 81, "model": "m", "turn": 1, "score": -1}
    assert RouteLLMMTBench().read(written(tmp_path / "judgements.jsonl", [judged])).samples[0].reward is None
    written(tmp_path / "judgements.jsonl", [judged | {"turn": 2}])
    with pytest.raises(
        TrainingError, match=r"judgements\.jsonl:1: column 'turn' is 2: question 81 has 1 turns"
    ):
        RouteLLMMTBench().read(tmp_path)


def gym(*results: tuple[str, list[float]], name: str = "sums", **more: object) -> dict[str, object]:
    """One data set's file: (question, scores of its completions)."""
    return {
        "name": name,
        "results": [
            {
                "question": question,
                "expected_answer": "x",
                "completions": [
                    {"model_answer": f"a{score}", "full_model_response": "four", "score": score}
                    for score in scores
                ],
            }
            for question, scores in results
        ],
        **more,
    }


def test_reasoning_gym_joins_the_runs_of_several_models_by_the_questions_text(tmp_path):
    easy = tmp_path / "easy"
    written(easy / "org_model-1_20250101_120000/algebra/sums.json", gym(("q1", [1.0, 0.5]), ("q2", [0.99])))
    written(easy / "other_model_2_20250101_120000/algebra/sums.json", gym(("q2", [0.0]), ("q3", [1.0])))
    written(easy / "org_model-1_20250101_120000/summary.json", {"total": 3})
    rows = ReasoningGym().read(easy)
    assert [(query.query_id, query.query, query.task) for query in rows.queries] == [
        ("sums-0", "q1", "sums"),
        ("sums-1", "q2", "sums"),
        ("sums-2", "q3", "sums"),
    ]
    assert [
        (sample.query_id, sample.backend, sample.sample_idx, sample.reward) for sample in rows.samples
    ] == [
        ("sums-0", "model-1", 0, 1.0),
        ("sums-0", "model-1", 1, 0.0),
        ("sums-1", "model-1", 0, 1.0),
        ("sums-1", "model_2", 0, 0.0),
        ("sums-2", "model_2", 0, 1.0),
    ]
    assert [query.query for query in ReasoningGym(least_models=2).read(easy).queries] == ["q2"]


def test_reasoning_gym_keeps_equal_questions_of_one_file_apart(tmp_path):
    rows = ReasoningGym().read(written(tmp_path / "m/sums.json", gym(("q", [1.0]), ("q", [0.0]))))
    assert [sample.query_id for sample in rows.samples] == ["sums-0", "sums-1"]


def test_reasoning_gym_can_give_the_score_itself_and_the_expected_answer(tmp_path):
    source = written(tmp_path / "m/sums.json", gym(("q", [0.25])))
    rows = ReasoningGym(pass_at=0, texts=False, gold=True).read(source)
    assert rows.queries[0].gold == "x"
    assert rows.samples == [ImportedSample("sums-0", "m", answer="a0.25", reward=0.25, chars_out=4)]


def test_reasoning_gym_reads_results_with_all_categories_in_one_file(tmp_path):
    content: dict[str, object] = {
        "metadata": {"model": "../utils/llama-x"},
        "categories": [
            {"name": "c", "datasets": [gym(("q", [1.0] * 50), name="hf://datasets/a/amc.parquet")]}
        ],
    }
    rows = ReasoningGym().read(written(tmp_path / "results.json", content))
    assert rows.queries[0].query_id == "amc-0"
    assert len(rows.samples) == 50
    assert rows.backends == ("llama-x",)


def crux(tmp_path: Path, verdicts: list[bool], temperature: str = "0.2", mode: str = "input") -> Path:
    problem: dict[str, object] = {"code": "def f(): {1}", "input": "", "output": "1", "id": "sample_0"}
    written(tmp_path / "data/cruxeval.jsonl", [problem])
    scored: dict[str, object] = {
        "raw_generations": {"sample_0": ["f()", "f(1)"]},
        "raw_scored_generations": {"sample_0": verdicts},
    }
    written(tmp_path / f"samples/sample_scored_llama-7b_temp{temperature}_{mode}.json", scored)
    return tmp_path


def test_cruxeval_has_one_task_per_direction_and_a_gold_that_may_be_empty(tmp_path):
    crux(tmp_path, [True, False])
    rows = CRUXEval().read(crux(tmp_path, [False, False], mode="output"))
    assert rows.queries == [
        ImportedQuery("sample_0-input", "def f(): {1}\n# output: 1  <- input?", "input", ""),
        ImportedQuery("sample_0-output", "def f(): {1}\n# input:   -> output?", "output", "1"),
    ]
    assert rows.samples[0] == ImportedSample(
        "sample_0-input", "llama-7b", 0, answer="f()", reward=1.0, params='{"temperature": 0.2}'
    )
    assert [sample.reward for sample in rows.samples] == [1.0, 0.0, 0.0, 0.0]


def test_cruxeval_at_two_temperatures_is_two_backends(tmp_path):
    crux(tmp_path, [True, False])
    assert CRUXEval().read(crux(tmp_path, [True, True], temperature="0.8")).backends == (
        "llama-7b@0.2",
        "llama-7b@0.8",
    )


def test_cruxeval_with_too_few_scores_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="sample_0: no such problem, or not one score per generation"):
        CRUXEval().read(crux(tmp_path, [True]))


def test_every_token_budget_is_a_backend(tmp_path):
    common: dict[str, object] = {"uid": "gsm8k_test_7", "problem": "How many?", "gold": "12"}
    source = [
        common | {"max_new_tokens": 96, "raw_text": "cut", "answer": None, "conf": None, "correct": 0},
        common | {"max_new_tokens": 320, "raw_text": "#### 12", "answer": "12", "conf": 0.9, "correct": 1},
    ]
    rows = Anytime().read(written(tmp_path / "x.jsonl", source))
    assert rows.queries == [ImportedQuery("gsm8k_test_7", "How many?", "gsm8k", "12")]
    assert [(sample.backend, sample.confidence, sample.reward) for sample in rows.samples] == [
        ("student@96", None, 0.0),
        ("student@320", 0.9, 1.0),
    ]


@pytest.mark.parametrize(
    ("queries", "samples", "problem"),
    [
        ([], [], "no queries or no samples"),
        (["a", "a"], [("a", 0)], "'a' is empty or occurs more than once"),
        (["a"], [("b", 0)], "the query_id 'b': no such query"),
        (["a"], [("a", 0), ("a", 0)], "sample 0 of 'm' for query 'a' occurs twice"),
    ],
)
def test_rows_that_do_not_fit_each_other_are_refused(queries, samples, problem):
    with pytest.raises(TrainingError, match=problem):
        ImportedRows(
            [ImportedQuery(name, "q") for name in queries],
            [ImportedSample(name, "m", at) for name, at in samples],
        )
