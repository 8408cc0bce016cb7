"""`apportion grade` with verifiers that have options and need no gold."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from router.errors import UnknownName
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.errors import TrainingError
from training.grade import grade
from training.graders import named_graders, parse_grader

TEXTS = {"year": ["1999", "In 1999.", ""], "json": ['Here: {"a": 1}', "[1]", "a: 1"]}


def made(folder: Path) -> Path:
    queries = [{"query_id": task, "query": f"{task}?", "task": task} for task in TEXTS]
    rows = [
        {"query_id": task, "backend": "small", "sample_idx": place, "text": text}
        for task, texts in TEXTS.items()
        for place, text in enumerate(texts)
    ]
    meta = RecordingMeta("r", {"small": Prices(1, 1)})
    write_recording(folder, meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(rows))
    return folder


def rewards(folder: Path) -> list[float]:
    return [float(value) for value in Recording.load(folder).columns.reward]


def test_tasks_are_judged_by_a_pattern_and_by_a_schema(tmp_path):
    folder = made(tmp_path / "r")
    grade(folder, ['year={ kind = "regex", pattern = "[0-9]{4}" }:exact', "json=schema"])
    assert rewards(folder) == [1, 0, 0, 1, 1, 0]
    assert Recording.load(folder).meta.extra["graders"] == {
        "year": '{ kind = "regex", pattern = "[0-9]{4}" }:exact',
        "json": "schema",
    }
    grade(folder)
    assert rewards(folder) == [1, 0, 0, 1, 1, 0]


def test_the_command_line_takes_options(tmp_path):
    folder = made(tmp_path / "r")
    table = '{ kind = "regex", pattern = "[0-9]{4}" }'
    command = [sys.executable, "-m", "training", "grade", "--recording", str(folder), "--verifier", table]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, rewards(folder)) == (0, [1, 0, 0, 0, 0, 0]), ran.stderr
    wrong = subprocess.run([*command[:-1], "regex"], capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr
    assert "regex without pattern judges nothing" in wrong.stderr.replace("\n", " ")


def test_where_nothing_got_a_label_the_reason_is_asked_after(tmp_path, capsys):
    grade(made(tmp_path / "r"), ["exact"])
    assert capsys.readouterr().err == (
        "6 samples of 6 have no label: have the queries no gold? `agrees` needs none\n"
    )


def test_the_same_pattern_may_see_another_kind_of_answer(tmp_path):
    folder = made(tmp_path / "r")
    grade(folder, ['year={ kind = "regex", pattern = "[0-9]{4}" }:number'])
    assert rewards(folder)[:3] == [1, 1, 0]


class Hook(BaseHTTPRequestHandler):
    """Wants a year; breaks at lists."""

    asked: list[dict]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        said = json.dumps({"pass": "1999" in body["answer"]}).encode()
        self.send_response(500 if body["answer"] == "[1]" else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_a_users_service_labels_each_answer_once_and_what_it_cannot_judge_stays_open(tmp_path, capsys):
    folder = made(tmp_path / "r")
    Hook.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        grade(folder, [f'{{ kind = "http", url = "{url}" }}'], concurrency=3)
        server.shutdown()
        thread.join()
    found = rewards(folder)
    assert found[:4] == [1, 1, 0, 0]
    assert np.isnan(found[4])
    assert found[5] == 0
    assert len(Hook.asked) == 5
    assert {"query": "year?", "answer": "In 1999.", "task": "year"} in Hook.asked
    assert "could not judge 1 of" in capsys.readouterr().err


def test_a_grader_with_options_is_of_a_task_or_of_all():
    assert named_graders(
        ['{ kind = "regex", pattern = "a=b" }', 't={ kind = "schema" }:exact', "u=number"]
    ) == {
        "": '{ kind = "regex", pattern = "a=b" }',
        "t": '{ kind = "schema" }:exact',
        "u": "number",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("regex", "regex without pattern judges nothing"),
        ('{ kind = "http" }', "http without url judges nothing"),
        ('{ kind = "regex" pattern = 1 }', "not an inline table of TOML"),
        ('{ kind = "regex", pattern = 1 }', "pattern: wants text"),
        ('{ kind = "regex", pattern = "(" }', "is not one"),
        ('{ pattern = "a" }', "wants kind"),
        ('{ kind = "schema" }json', "expected"),
        ("{" * 5000 + "}", "not an inline table"),
    ],
)
def test_a_wrong_grader_says_what_is_wrong(text, words):
    with pytest.raises(TrainingError, match=words):
        parse_grader(text)


def test_an_unknown_kind_of_answer_is_refused():
    with pytest.raises(UnknownName, match="unknown answer kind 'nope'"):
        parse_grader('{ kind = "schema" }:nope')


def test_text_before_a_table_names_a_task():
    with pytest.raises(TrainingError, match="expected"):
        named_graders(['year{ kind = "schema" }'])
