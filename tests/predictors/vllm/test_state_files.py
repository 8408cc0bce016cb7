"""Reduced states as files: found by key, whole or not there, bounded in age and size, tenants apart."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from predictors.vllm.asked import MOST_MARKS, Ask, ask_params, child_index, read_ask
from predictors.vllm.flags import server_flags
from predictors.vllm.folder import StateFolder
from predictors.vllm.options import Options
from predictors.vllm.projection import signs
from predictors.vllm.state_file import States, decoded, encoded, read_states, state_path, take_states
from predictors.vllm.writer import Job, StateWriter

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef" * 2
STATES = States((("prompt_last", 3), ("answer_mean", 3)), 2, 5, 7, b"\x00\x3c\x00\x40\x00\x42\x00\x44")


def test_states_come_back_as_they_were_written():
    assert decoded(encoded(STATES)) == STATES


@pytest.mark.parametrize(
    "content", [b"", b"APH1", b"nothing of the kind", encoded(STATES)[:-1], encoded(STATES) + b"x"]
)
def test_a_file_that_is_torn_or_foreign_is_refused(content: bytes):
    with pytest.raises(ValueError, match="states"):
        decoded(content)


def test_a_header_that_lacks_something_is_refused():
    with pytest.raises(ValueError, match="broken header"):
        decoded(encoded(STATES).replace(b'"width"', b'"wodth"'))


def test_what_is_taken_is_gone(tmp_path: Path):
    StateFolder(tmp_path).put("a", KEY, 0, encoded(STATES))
    path = state_path(tmp_path, "a", KEY)
    assert (take_states(path), path.exists(), take_states(path)) == (STATES, False, None)


def test_tenants_and_samples_of_one_key_do_not_meet(tmp_path: Path):
    paths = {state_path(tmp_path, tenant, KEY, index) for tenant in ("a", "b") for index in (0, 1)}
    assert len(paths) == 4
    assert len({path.parent for path in paths}) == 2


@pytest.mark.parametrize("tenant", ["../../etc", "/root", "a/b", "\x00", "..", "😀" * 50])
def test_no_tenants_name_leads_out_of_the_folder(tmp_path: Path, tenant: str):
    path = state_path(tmp_path, tenant, KEY)
    assert path.parent.parent == tmp_path
    assert path.parent.name.isalnum()


def test_others_than_user_and_group_may_not_read(tmp_path: Path):
    StateFolder(tmp_path / "new").put("a", KEY, 0, b"x")
    path = state_path(tmp_path / "new", "a", KEY)
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0


def test_a_link_laid_in_the_way_is_not_written_through(tmp_path: Path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    path = state_path(tmp_path / "states", "a", KEY)
    path.parent.mkdir(parents=True)
    path.with_suffix(".partial").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        StateFolder(tmp_path / "states").put("a", KEY, 0, b"x")
    assert target.read_bytes() == b"precious"


def aged(folder: StateFolder, tenant: str, number: int, age_s: float, size: int) -> Path:
    key = f"{number:032x}"
    folder.put(tenant, key, 0, b"x" * size)
    path = state_path(folder.root, tenant, key)
    os.utime(path, (1000.0 - age_s, 1000.0 - age_s))
    return path


def test_what_is_too_old_goes_and_what_is_young_stays(tmp_path: Path):
    folder = StateFolder(tmp_path, max_age_s=60)
    old, young = aged(folder, "a", 1, 61, 10), aged(folder, "a", 2, 59, 10)
    assert folder.sweep(1000.0) == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_a_torn_write_of_a_server_that_was_killed_goes_with_age(tmp_path: Path):
    folder = StateFolder(tmp_path, max_age_s=60)
    path = aged(folder, "a", 1, 61, 10)
    path.rename(path.with_suffix(".partial"))
    folder.sweep(1000.0)
    assert list(path.parent.iterdir()) == []


def test_one_tenants_burst_pushes_out_its_own_oldest_and_nobody_elses(tmp_path: Path):
    folder = StateFolder(tmp_path, max_bytes=1000)
    quiet = aged(folder, "quiet", 0, 50, 100)
    burst = [aged(folder, "loud", number, 40 - number, 100) for number in range(1, 21)]
    folder.sweep(1000.0)
    assert quiet.exists()
    assert [path.exists() for path in burst] == [False] * 11 + [True] * 9


def test_folders_of_tenants_who_left_go_and_come_again_with_them(tmp_path: Path):
    folder = StateFolder(tmp_path, max_age_s=60)
    left, stays = aged(folder, "left", 1, 200, 10).parent, aged(folder, "stays", 1, 10, 10).parent
    foreign = tmp_path / "not ours"
    foreign.mkdir()
    for path in (left, stays, foreign):
        os.utime(path, (700.0, 700.0))
    folder.sweep(1000.0)
    os.utime(left, (700.0, 700.0))  # the file went just now
    folder.sweep(1000.0)
    assert [path.exists() for path in (left, stays, foreign)] == [False, True, True]
    assert aged(folder, "left", 2, 10, 10).exists()


def test_a_folder_that_is_not_there_is_no_reason_to_fail(tmp_path: Path):
    assert StateFolder(tmp_path / "nowhere").sweep(1000.0) == 0


def test_where_the_disk_takes_no_more_no_piece_of_a_file_is_left_and_it_is_said_once(tmp_path: Path):
    code = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from predictors.vllm.folder import StateFolder
from predictors.vllm.state_file import States
from predictors.vllm.writer import Job, StateWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
said = []
writer = StateWriter(StateFolder(Path({str(tmp_path)!r})), said.append)
large = States((("prompt_last", 0),), 5000, 1, 0, bytes(10000))
for number in range(3):
    writer.submit(Job(str(number), "a", format(number, "032x"), 0, lambda: large))
writer.close()
print(writer.lost, len(said), sorted(writer.released()))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "3 1 ['0', '1', '2']", done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_sequence_is_released_whether_or_not_its_states_could_be_made(tmp_path: Path):
    def broken() -> States:
        raise RuntimeError("no such block")

    writer = StateWriter(StateFolder(tmp_path), lambda _: None)
    writer.submit(Job("good", "a", KEY, 0, lambda: STATES))
    writer.submit(Job("bad", "a", KEY, 1, broken))
    writer.close()
    assert writer.released() == {"good", "bad"}
    assert writer.released() == set()
    assert (writer.written, writer.lost) == (1, 1)
    assert read_states(state_path(tmp_path, "a", KEY)) == STATES


def test_once_the_thread_has_ended_nothing_waits_for_it(tmp_path: Path):
    writer = StateWriter(StateFolder(tmp_path), lambda _: None)
    writer.close()
    writer.submit(Job("late", "a", KEY, 0, lambda: STATES))
    assert writer.released() == {"late"}


# ------------------------------------------------------------------------------------------------------ what is asked


def test_what_is_asked_for_is_read_back():
    assert read_ask(ask_params(KEY, "acme", 57)) == Ask(KEY, "acme", 57)
    assert read_ask({"apportion": {"key": KEY, "marks": [3, 9]}}) == Ask(KEY, marks=(3, 9))


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"apportion": KEY},
        {"apportion": {}},
        {"apportion": {"key": "../../etc/passwd"}},
        {"apportion": {"key": KEY + "\n"}},
        {"apportion": {"key": KEY.upper()}},
        {"apportion": {"key": KEY, "tenant": 3}},
        {"apportion": {"key": KEY, "tenant": "x" * 257}},
        {"apportion": {"key": KEY, "split": 0}},
        {"apportion": {"key": KEY, "split": True}},
        {"apportion": {"key": KEY, "split": 2**31}},
        {"apportion": {"key": KEY, "marks": [-1]}},
        {"apportion": {"key": KEY, "marks": "12"}},
        {"apportion": {"key": KEY, "marks": [1] * (MOST_MARKS + 1)}},
        {"hidden_states_path": "/etc/passwd"},
    ],
)
def test_whatever_is_malformed_is_as_if_nothing_was_asked(said: dict[str, object] | None):
    assert read_ask(said) is None


@pytest.mark.parametrize(
    ("request_id", "index"),
    [
        ("chatcmpl-12-abcdef01", 0),
        ("3_chatcmpl-12-abcdef01", 3),
        ("11_cmpl-x-0-abcdef01", 11),
        ("7_mine", 0),
        ("cmpl-3_chatcmpl", 0),
    ],
)
def test_the_number_of_a_sample_is_read_from_vllms_own_request_id(request_id: str, index: int):
    assert child_index(request_id) == index


def test_options_are_checked_when_the_server_starts():
    assert Options.read({"dims": 8, "parts": ["answer_mean"], "mark_tokens": [4]}).mark_tokens == {4}


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/x"},
        {"parts": ["all"]},
        {"parts": []},
        {"folder": "x"},
        {"dims": -1},
        {"max_mb": 0},
        {"states": "keys"},
        {"states": "values"},
        {"layers": [3]},
    ],
)
def test_a_wrong_option_ends_the_start_with_a_sentence(wrong: dict[str, object]):
    with pytest.raises(ValueError, match="hidden states: "):
        Options.read(wrong)


def test_the_flags_name_the_connector_by_its_module():
    flags = " ".join(server_flags([1, 2], {"folder": "/dev/shm/x"}))
    assert '"kv_connector_module_path": "predictors.vllm.connector"' in flags
    assert '"eagle_aux_hidden_state_layer_ids": [1, 2]' in flags


def test_value_vectors_need_no_speculation_and_leave_chunked_prefill_alone():
    flags = server_flags([1, 2], {"folder": "/dev/shm/x", "states": "values"})
    transfer = json.loads(flags[flags.index("--kv-transfer-config") + 1])
    options = Options.read(transfer["kv_connector_extra_config"])
    assert (len(flags), options.states, options.layers) == (2, "values", (1, 2))


def test_the_projection_is_the_same_everywhere_and_keeps_lengths_about():
    matrix = signs(0, 200, 64)
    assert [round(8 * value) for value in matrix[0][:12]] == [1, -1, -1, -1, 1, 1, -1, 1, -1, 1, -1, 1]
    lengths = []
    for row in range(0, 200, 10):
        vector = [1.0 if at % 10 == row // 20 else 0.1 for at in range(200)]
        out = [sum(v * m[column] for v, m in zip(vector, matrix, strict=True)) for column in range(64)]
        lengths.append(sum(o * o for o in out) / sum(v * v for v in vector))
    assert 0.6 < sum(lengths) / len(lengths) < 1.4
