"""Code that is judged by its tests, and what it can do to its host: nothing."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from router.answering.sandbox import INSIDE, Limits, Ran, run
from router.errors import ConfigError
from router.verifiers import Case
from router.verifiers.unit_tests import UnitTests

CASE = Case("q")
SHORT = Limits(limit_s=1)
ROOM = Path("/proc/self/ns/user").exists() and run("", "", Limits()) is Ran.PASSED
needs_room = pytest.mark.skipif(not ROOM, reason="this kernel refuses the namespaces of the sandbox")


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Whatever a test ran, no process of it is there afterwards."""
    yield
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if (words := said(path)) and (str(INSIDE) in words or "answer.py" in words) and is_ours(path)
    ]
    assert left == []


def said(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_ours(path: Path) -> bool:
    """Whether it descends from this very process, and is not of a test run beside it; orphans count too."""
    try:
        parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return False
    return parent in {1, os.getpid()}


@needs_room
@pytest.mark.parametrize(
    ("code", "tests", "score"),
    [
        ("def twice(x):\n    return 2 * x", "assert twice(3) == 6", 1),
        ("def twice(x):\n    return x", "assert twice(3) == 6", 0),
        ("def twice(x)\n    return 2 * x", "assert twice(3) == 6", 0),
        ("def twice(x):\n    return x", "import sys\nsys.exit(0)", 0),
        ("import sys\nsys.exit(0)", "assert False", 0),
        ("import os\nos._exit(0)", "assert False", 0),
        ("print('x' * 10_000_000)", "assert True", 1),
        ("import math, re, json, random, datetime, itertools, collections", "assert math.pi > 3", 1),
        ("open('notes', 'w').write('own folder')", "assert open('notes').read() == 'own folder'", 1),
        ("if __name__ == '__main__':\n    raise ValueError", "assert True", 1),
    ],
)
def test_code_passes_its_tests_or_not(code, tests, score):
    assert UnitTests(tests=tests).grade(CASE, code) == score


@needs_room
def test_the_gold_may_be_the_tests():
    assert UnitTests().grade(Case("q", gold="assert f() == 1"), "def f(): return 1") == 1
    assert UnitTests().grade(CASE, "def f(): return 1") is None


@needs_room
def test_the_network_is_not_there():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    reached = threading.Event()
    listener.settimeout(0.2)
    code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
    assert run(code, "", SHORT) is Ran.FAILED
    try:
        listener.accept()[0].close()
        reached.set()
    except TimeoutError:
        pass
    listener.close()
    assert not reached.is_set()
    only_loopback = "import socket\nassert [name for _, name in socket.if_nameindex()] in ([], ['lo'])"
    assert run(only_loopback, "", SHORT) is Ran.PASSED


@needs_room
@pytest.mark.parametrize("processes", [1, 4])
def test_a_fork_bomb_bursts_inside(processes):
    bomb = "import os\nwhile True:\n    os.fork()"
    assert run(bomb, "", Limits(limit_s=1, processes=processes)) is Ran.FAILED


@needs_room
def test_a_patient_fork_bomb_is_small():
    """Those who cannot fork go on trying until the time is over: there are as many as were allowed, and no more."""
    bomb = """
import os
started = 1
for _ in range(200):
    try:
        if os.fork() == 0:
            while True: pass
        started += 1
    except OSError:
        break
"""
    assert run(bomb, "assert started <= 4, started", Limits(limit_s=1, processes=4)) is Ran.PASSED


@needs_room
def test_children_end_with_the_answer():
    orphan = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    assert run(orphan, "", Limits(limit_s=1, processes=3)) is Ran.PASSED


@needs_room
@pytest.mark.parametrize(
    "code",
    [
        "held = bytearray(10 << 30)",
        "held = []\nwhile True:\n    held.append('x' * (1 << 20) + str(len(held)))",
    ],
)
def test_ten_gigabytes_are_refused(code):
    assert run(code, "", SHORT) is Ran.FAILED
    most_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert most_kib < 4 << 20  # of any child this test run ever had


@needs_room
def test_ten_gigabytes_of_files_are_refused():
    files = "number = 0\nwhile True:\n    open(f'f{number}', 'wb').write(b'x' * (1 << 22))\n    number += 1"
    assert run(files, "", SHORT) is Ran.FAILED


@needs_room
def test_nothing_outside_is_written_or_read(tmp_path):
    secret, target = tmp_path / "secret", tmp_path / "written"
    secret.write_text("secret")
    tmp_path.chmod(0o777)
    assert run(f"open({str(target)!r}, 'w').write('x')", "", SHORT) is Ran.FAILED
    assert run(f"open({str(secret)!r}).read()", "", SHORT) is Ran.FAILED
    for place in (
        "/usr/apportion-was-here",
        "/lib/apportion-was-here",
        f"{sys.base_prefix}/apportion-was-here",
    ):
        assert run(f"open({place!r}, 'w').write('x')", "", SHORT) is Ran.FAILED
        assert not Path(place).exists()
    assert run("open('/tmp-was-here', 'w').write('x')", "", SHORT) in Ran  # a root of its own
    assert not Path("/tmp-was-here").exists()
    assert not target.exists()


@needs_room
def test_the_environment_and_other_processes_are_not_seen(monkeypatch):
    monkeypatch.setenv("APPORTION_SECRET", "hunter2")
    code = "import os\nfound = dict(os.environ)"
    assert run(code, "assert set(found) <= {'LC_CTYPE'}, found", SHORT) is Ran.PASSED
    assert run("import os", "assert not os.path.exists('/proc/1')", SHORT) is Ran.PASSED
    assert run("import os", f"assert os.getpid() == 1 != {os.getpid()}", SHORT) is Ran.PASSED


@needs_room
def test_it_has_no_powers_inside():
    for code in (
        "import os\nos.setuid(0)",
        "import os\nos.chroot('/box')",
        "import ctypes\nassert ctypes.CDLL(None).mount(b'tmpfs', b'/box', b'tmpfs', 0, None) == 0",
        "import ctypes\nassert ctypes.CDLL(None).umount2(b'/usr', 2) == 0",
    ):
        assert run(code, "", SHORT) is Ran.FAILED, code


@needs_room
def test_an_endless_loop_and_an_endless_sleep_end():
    assert run("while True:\n    pass", "", SHORT) is Ran.FAILED
    assert run("import time\ntime.sleep(600)", "", SHORT) is Ran.FAILED


@needs_room
def test_a_flood_on_the_verdicts_pipe_is_no_verdict():
    flood = "import os\nfor number in range(3, 10):\n    try:\n        os.write(number, b'x' * 60_000)\n    except OSError: pass"
    assert run(flood, "", SHORT) is Ran.FAILED


@needs_room
@pytest.mark.parametrize(
    "answer", ["(" * 100_000, "\x00", "x = '\ud800'", "-" * 100_000 + "1", "x" * 300_000]
)
def test_hostile_source_does_not_pass(answer):
    assert UnitTests(tests="assert False").grade(CASE, answer) == 0


def test_where_the_kernel_refuses_nothing_runs(tmp_path):
    """In a room of users that may have no further ones; as its root, so `weak` is refused too."""
    if not ROOM or subprocess.run(["unshare", "-r", "true"], check=False).returncode:
        pytest.skip("no namespace to forbid namespaces in")
    program = (
        "import sys\nfrom router.answering.sandbox import Limits, run\n"
        f"code = \"open('{tmp_path}/ran', 'w')\"\n"
        "print(*(run(code, '', Limits(), weak=weak).value for weak in (False, True)))"
    )
    command = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-r", "sh", "-c", command, sys.executable, program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["refused", "refused"], "")
    assert not (tmp_path / "ran").exists()


def test_a_refusal_is_no_verdict_and_is_said_once(monkeypatch):
    monkeypatch.setattr("router.verifiers.unit_tests.run", lambda *_, **__: Ran.REFUSED)
    verifier = UnitTests(tests="assert True")
    with structlog.testing.capture_logs() as told:
        assert [verifier.grade(CASE, "x = 1") for _ in range(3)] == [None] * 3
    assert [entry["event"].startswith("unit_tests judges nothing") for entry in told] == [True]


def test_tests_may_stand_in_a_file(tmp_path):
    path = tmp_path / "tests.py"
    path.write_text("assert answer == 42\n")
    assert UnitTests(tests=str(path)).tests == "assert answer == 42\n"
    with pytest.raises(ConfigError, match="unit_tests: tests: cannot read"):
        UnitTests(tests=str(tmp_path / "none.py"))


@pytest.mark.parametrize("options", [{"limit_s": 0.5}, {"memory_mb": 1}, {"processes": 0}, {"at_once": 0}])
def test_limits_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError, match=f"unit_tests: {next(iter(options))} must be in"):
        UnitTests(**options)
