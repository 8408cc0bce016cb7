"""k8s/base is valid, safe, and agrees with itself and with the router.toml that it mounts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from router.configuration.file import load

BASE = Path(__file__).parents[2] / "k8s" / "base"
KUSTOMIZATION = yaml.safe_load((BASE / "kustomization.yaml").read_text())
RESOURCES: list[str] = KUSTOMIZATION["resources"]
ROUTER = tomllib.loads((BASE / "router.toml").read_text())


def resource(name: str) -> dict[str, Any]:
    """The first document of a file."""
    content: dict[str, Any] = next(yaml.safe_load_all((BASE / name).read_text()))
    return content


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = resource("deployment.yaml")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod) -> dict[str, Any]:
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_is_valid_by_the_cluster_s_own_schema(name):
    kubernetes_validate.validate(resource(name), kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_is_listed():
    assert sorted(path.name for path in BASE.glob("*.yaml")) == sorted([*RESOURCES, "kustomization.yaml"])


def test_the_service_and_the_network_policy_select_the_pods():
    labels = resource("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    assert resource("deployment.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert resource("service.yaml")["spec"]["selector"] == labels
    assert resource("networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"] == labels


def test_the_container_cannot_gain_rights_or_write_to_its_image(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_mount_has_its_volume(pod, container):
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_the_config_map_and_the_claim_are_there(pod):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["config"]["configMap"]["name"] in {
        item["name"] for item in KUSTOMIZATION["configMapGenerator"]
    }
    assert (
        volumes["store"]["persistentVolumeClaim"]["claimName"] == resource("store.yaml")["metadata"]["name"]
    )


def test_probes_ask_the_port_that_the_server_listens_on(container):
    port = int(ROUTER["server"]["listen"].rpartition(":")[2])
    assert container["ports"][0]["containerPort"] == port
    assert {
        container[probe]["grpc"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    } == {port}


def test_the_administrators_port_is_not_reachable_from_other_pods():
    assert ROUTER["server"]["admin_listen"].startswith("127.0.0.1:")


def test_the_pod_is_given_more_time_to_stop_than_the_server_takes_to_drain(pod):
    assert pod["terminationGracePeriodSeconds"] > ROUTER["server"]["drain_s"]


def test_liveness_is_more_patient_than_a_drain(container):
    probe = container["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > ROUTER["server"]["drain_s"]


def test_one_pod_owns_the_sqlite_file(container):
    spec = resource("deployment.yaml")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    mounts = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "store"]
    assert [str(Path(ROUTER["store"]["sqlite"]).parent)] == mounts


def test_the_server_is_told_where_its_configuration_is_mounted(container):
    (mount,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "config"]
    assert container["args"] == ["serve", "--config", f"{mount}/router.toml"]


def test_the_mounted_router_toml_is_one_that_the_service_serves(tmp_path: Path):
    text = (BASE / "router.toml").read_text()
    (tmp_path / "router.toml").write_text(text.replace("/var/lib/apportion", str(tmp_path)))
    assert {plan.name for plan in load(tmp_path / "router.toml").plans} == {"small", "large", "cascade"}
