"""The Deployment's own command lines, variables, volumes and probes, run: as its user, read-only, without capabilities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("one_pod.py")
TOOLS = (Path(sys.executable).parent.parent.resolve()) / "bin"
UNSHARE = ["unshare", "--mount", "--net", "--propagation", "private"]

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def namespaces() -> list[str]:
    """A command that gives a command namespaces of its own; skips where the kernel or a missing tool forbids it."""
    if not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        pytest.skip("unshare, setpriv or mount is missing (util-linux)")
    if os.getuid() != 0:
        pytest.skip("only root may take another user's number")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel lets nobody have namespaces of their own")
    return UNSHARE


def command_of(container: dict[str, Any]) -> list[str]:
    """The image's entry point, `apportion`, with the manifest's arguments."""
    return [str(TOOLS / "python"), "-m", "router", *container["args"]]


def env_of(container: dict[str, Any], recordings: Path) -> dict[str, str]:
    """The manifest's variables and the image's, and nothing of ours; Secrets have a value of the test's."""
    given = {one["name"]: one.get("value", "a secret") for one in container.get("env", ())}
    return given | {"PATH": f"{TOOLS}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def run(
    overlay: str, tmp_path: Path, render: Any, namespaces: list[str], after: bool = False
) -> dict[str, Any]:
    resources = render(overlay)
    pod = next(
        one for one in resources if one["kind"] == "Deployment" and one["metadata"]["name"] == "apportion"
    )
    spec = pod["spec"]["template"]["spec"]
    (configuration,) = (one for one in resources if one["kind"] == "ConfigMap")
    user = spec["securityContext"]
    volumes = tmp_path / "volumes"
    for name in ("config", "store", "scratch", "recordings"):
        (volumes / name).mkdir(parents=True)
    for name, text in configuration["data"].items():
        (volumes / "config" / name).write_text(text)
    shutil.copytree(ROOT / "training" / "recordings" / "house", volumes / "recordings" / "house")
    for name in ("store", "scratch"):
        os.chown(volumes / name, user["runAsUser"], user["fsGroup"])
    main = next(one for one in spec["containers"] if one["name"] == "apportion")
    others = [one for one in spec["containers"] if one is not main]
    probes = [main[name]["grpc"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    binds = [
        [str(volumes / "config"), "/etc/apportion", "ro"],
        [str(volumes / "store"), "/var/lib/apportion", "rw"],
        [str(volumes / "recordings"), "/app/recordings", "ro"],
        [str(volumes / "scratch"), "/tmp", "rw"],
    ]
    nightly = next(one for one in resources if one["kind"] == "CronJob")
    (cycle,) = nightly["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    ask = [str(TOOLS / "python"), "-m", "router", "ask", "Spell 'hat' in reverse.", "--json"]
    commands = [ask, command_of(cycle)] if after else []
    wanted = {
        "containers": [
            {
                "name": one["name"],
                "command": command_of(one),
                "env": env_of(one, volumes),
                "cwd": one.get("workingDir", "/"),
            }
            for one in (main, *others)
        ],
        "uid": user["runAsUser"],
        "gid": user["runAsGroup"],
        "binds": binds,
        "reachable": sorted(
            {str(one.resolve()) for one in (Path(sys.base_prefix), TOOLS.parent, ROOT)}, key=len
        ),
        "probes": probes,
        "writes": ["/etc/apportion/x", "/usr/x", f"{ROOT}/x", "/var/lib/apportion/x", "/tmp/x"],
        "within_s": main["startupProbe"]["periodSeconds"] * main["startupProbe"]["failureThreshold"],
        "log": str(tmp_path / "pod.log"),
        "after": [{"command": command, "env": env_of(main, volumes), "cwd": "/"} for command in commands],
    }
    (tmp_path / "spec.json").write_text(json.dumps(wanted))
    ran = subprocess.run(
        [*namespaces, sys.executable, str(SCRIPT), str(tmp_path / "spec.json")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    said = (tmp_path / "pod.log").read_text() if (tmp_path / "pod.log").exists() else ""
    assert ran.returncode == 0, ran.stderr[-3000:] + said[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found["ready"], said[-3000:]
    return found


def test_the_pod_turns_ready_as_its_user_and_ends_in_order(tmp_path, render, namespaces):
    found = run("base", tmp_path, render, namespaces)
    assert found["Uid"] == "10001"
    assert int(found["CapEff"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["written"] == ["/var/lib/apportion/x", "/tmp/x"]
    assert found["codes"] == [0]


def test_the_demo_s_pod_answers_a_query_and_its_nightly_cycle_completes(tmp_path, render, namespaces):
    found = run("overlays/cpu-demo", tmp_path, render, namespaces, after=True)
    said = (tmp_path / "pod.log").read_text()
    assert found["after"] == [0, 0], said[-3000:]
    assert '"decision_id"' in said
    assert '"export": {"decisions": 1' in said
    assert found["codes"][0] == 0
