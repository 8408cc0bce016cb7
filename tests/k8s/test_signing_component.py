"""The component that lets the nightly cycle sign what it promotes, over each overlay that has a cycle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "k8s" / "README.md").read_text()
SIGNERS = "/etc/apportion-signers"


@pytest.fixture(params=["base", "overlays/production"])
def resources(request, render, tmp_path) -> tuple[dict[str, Any], ...]:
    """An overlay of a user's own."""
    folder = Path(os.path.relpath(ROOT / "k8s", tmp_path.resolve()))
    wanted = {
        "resources": [str(folder / request.param)],
        "components": [str(folder / "components/signed-bundles")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return render(str(tmp_path.resolve()))  # type: ignore[no-any-return]


def pod(resources: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in resources if (one["kind"], one["metadata"]["name"]) == (kind, name))
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    spec = found["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else found["spec"]
    return dict(spec["template"]["spec"])


def mounted(spec: dict[str, Any], place: str) -> dict[str, Any]:
    """The Secret that a pod's first container reads at a place, and may not change."""
    (mount,) = (one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"] == place)
    (volume,) = (one for one in spec["volumes"] if one["name"] == mount["name"])
    assert mount["readOnly"] is True
    return dict(volume["secret"])


def test_the_cycle_signs_with_a_key_that_it_alone_has(resources):
    cycle = pod(resources, "CronJob", "apportion-cycle")
    args = cycle["containers"][0]["args"]
    key = Path(args[args.index("--signing-key") + 1])
    secret = mounted(cycle, str(key.parent))["secretName"]
    assert f"create secret generic {secret} --from-file={key.name}\n" in README
    service = pod(resources, "Deployment", "apportion")
    assert secret not in str(service)


def test_the_cycle_is_run_with_flags_that_there_are(resources):
    from router.__main__ import commands

    name, *rest = pod(resources, "CronJob", "apportion-cycle")["containers"][0]["args"]
    command = commands().get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    command.make_context(name, list(rest))


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "apportion"), ("CronJob", "apportion-cycle")])
def test_who_may_sign_is_known_where_the_configuration_is_read(resources, kind, name):
    secret = mounted(pod(resources, kind, name), SIGNERS)["secretName"]
    assert f"create secret generic {secret} --from-file=signers.pem\n" in README
    assert f'bundle_signers = "{SIGNERS}/signers.pem"' in README
