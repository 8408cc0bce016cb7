"""The process that learns cannot read the recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[3] / "training/recordings/house"
PROBE = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
refused = []
for read in (
    lambda: Path(sys.argv[1], "meta.json").read_bytes(),
    lambda: pq.read_table(Path(sys.argv[1], "samples.parquet")),
    lambda: __import__("router.recording").recording.Recording.load(Path(sys.argv[1])),
):
    try:
        read()
    except PermissionError:
        refused.append(True)
    except Exception as error:
        refused.append("Permission denied" in str(error))
    else:
        refused.append(False)
Path(sys.argv[2], "written").write_text("yes")
import training.cycle.run
print(refused)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_confined_process_reads_code_and_its_folder_and_no_recording(tmp_path):
    command = (
        sys.executable,
        "-m",
        "training.loop_demo.confined",
        str(tmp_path),
        "--",
        sys.executable,
        "-c",
        PROBE,
    )
    done = subprocess.run(
        (*command, str(HOUSE), str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        cwd=HOUSE.parents[2],
    )
    assert done.stdout.strip() == "[True, True, True]", done.stderr
    assert (tmp_path / "written").read_text() == "yes"


def test_the_cycle_of_the_demo_runs_confined_to_the_folder_of_the_service(monkeypatch, tmp_path):
    from training.loop_demo import command
    from training.loop_demo.prepare import Stage

    stage = Stage(tmp_path, tmp_path / "service", tmp_path / "whole", 1.0, (), (), "", "", "")
    ran = []

    def run(arguments, **_):
        ran.extend(arguments)
        return subprocess.CompletedProcess(arguments, 0, "{}", "")

    monkeypatch.setattr("subprocess.run", run)
    command.cycle(stage)
    at = ran.index("training.loop_demo.confined")
    assert ran[at + 1 : ran.index("--")] == [str(stage.service)]
    assert not [part for part in ran if "whole" in part or "recording" in part]
