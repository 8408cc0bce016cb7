"""Every overlay is valid by the cluster's schemas, safe, and names only what exists: files, keys, ports, flags, images."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from predictors.vllm.flags import server_flags
from router.configuration.file import load
from router.telemetry.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
README = (ROOT / "k8s" / "README.md").read_text()
OVERLAYS = ["base", "overlays/cpu-demo", "overlays/gpu", "overlays/production"]
FOLDER = "/var/lib/apportion"

Resource = dict[str, Any]


@pytest.fixture(params=OVERLAYS)
def overlay(request) -> str:
    return str(request.param)


@pytest.fixture
def resources(overlay, render) -> tuple[Resource, ...]:
    return render(overlay)  # type: ignore[no-any-return]


@pytest.fixture
def router(resources) -> dict[str, Any]:
    return tomllib.loads(router_toml(resources))


def of(resources: tuple[Resource, ...], kind: str) -> dict[str, Resource]:
    return {one["metadata"]["name"]: one for one in resources if one["kind"] == kind}


def router_toml(resources: tuple[Resource, ...]) -> str:
    (text,) = (one["data"]["router.toml"] for one in resources if one["kind"] == "ConfigMap")
    return str(text)


def pods(resources: tuple[Resource, ...]) -> Iterator[tuple[str, Resource]]:
    """(name, the pod's template) of all that makes pods."""
    for name, one in of(resources, "Deployment").items():
        yield name, one["spec"]["template"]
    for name, one in of(resources, "CronJob").items():
        yield name, one["spec"]["jobTemplate"]["spec"]["template"]


def containers(resources: tuple[Resource, ...]) -> Iterator[tuple[Resource, Resource]]:
    """(pod's spec, container), what runs first too."""
    for _, pod in pods(resources):
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            yield pod["spec"], container


def service(resources: tuple[Resource, ...]) -> Resource:
    found: Resource = of(resources, "Deployment")["apportion"]["spec"]["template"]
    return found


def main_container(resources: tuple[Resource, ...]) -> Resource:
    (found,) = (one for one in service(resources)["spec"]["containers"] if one["name"] == "apportion")
    return dict(found)


def test_every_resource_is_valid_by_the_schemas(resources):
    for one in resources:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    assert len(resources) >= 8


def test_every_file_of_an_overlay_is_used(overlay):
    folder = ROOT / "k8s" / overlay
    named = re.findall(r"[\w.-]+\.(?:yaml|toml)", (folder / "kustomization.yaml").read_text())
    assert {path.name for path in folder.iterdir()} - {"kustomization.yaml"} <= set(named)


def test_no_container_may_gain_rights_or_write_to_its_image(resources):
    for pod, container in containers(resources):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, container["name"]


def test_no_pod_has_a_token_of_the_cluster(resources):
    assert all(pod["spec"]["automountServiceAccountToken"] is False for _, pod in pods(resources))


def test_every_image_has_a_tag_that_exists(resources):
    made = set(re.findall(r"--tag (\S+)", (ROOT / "Makefile").read_text()))
    (vllm,) = re.findall(r"^vllm==(\S+)", (ROOT / "locks" / "vllm.txt").read_text(), re.MULTILINE)
    known = made | {f"vllm/vllm-openai:v{vllm}"}
    assert {container["image"] for _, container in containers(resources)} <= known


def test_every_container_is_asked_for_so_much_and_no_more(resources):
    for _, container in containers(resources):
        if container["name"] != "connector":
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_every_volume_is_there_and_every_mount_has_its_volume(resources):
    claims, maps = of(resources, "PersistentVolumeClaim"), of(resources, "ConfigMap")
    for pod, container in containers(resources):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container.get("volumeMounts", ()):
            assert mount["name"] in volumes
        for volume in volumes.values():
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims
            if secret := volume.get("secret"):
                assert f"create secret generic {secret['secretName']} --from-file=" in README
            if configuration := volume.get("configMap"):
                assert configuration["name"] in maps


def test_every_secret_is_said_to_be_needed_with_its_keys(resources):
    for _, container in containers(resources):
        for variable in container.get("env", ()):
            if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert re.search(
                    rf"create secret generic {secret['name']}\b.*--from-literal={secret['key']}=", README
                )


def test_every_variable_of_ours_is_read_somewhere(resources):
    source = "".join(
        path.read_text() for folder in ("router", "training") for path in (ROOT / folder).rglob("*.py")
    )
    for _, container in containers(resources):
        for variable in container.get("env", ()):
            if variable["name"].startswith("APPORTION_"):
                assert f'"{variable["name"]}"' in source


def test_services_lead_to_ports_of_pods(resources):
    for one in of(resources, "Service").values():
        selected = [
            pod["spec"]
            for _, pod in pods(resources)
            if one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        assert len(selected) == 1, one["metadata"]["name"]
        names = {port["name"] for each in selected[0]["containers"] for port in each.get("ports", ())}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= names


def test_policies_speak_of_pods_and_ports_that_are_there(resources):
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        for one in of(resources, kind).values():
            wanted = one["spec"].get("podSelector", one["spec"].get("selector"))["matchLabels"]
            found = [
                pod["spec"]
                for _, pod in pods(resources)
                if wanted.items() <= pod["metadata"]["labels"].items()
            ]
            assert found, one["metadata"]["name"]
            for rule in one["spec"].get("ingress", ()):
                for port in rule["ports"]:
                    assert any(
                        port["port"] == known["name"]
                        for spec in found
                        for each in spec["containers"]
                        for known in each.get("ports", ())
                    )


def test_every_pod_stands_behind_a_policy(resources):
    policies = [
        one["spec"]["podSelector"]["matchLabels"].items() for one in of(resources, "NetworkPolicy").values()
    ]
    for name, pod in pods(resources):
        assert any(wanted <= pod["metadata"]["labels"].items() for wanted in policies), name


def test_probes_ask_ports_that_are_listened_on(resources):
    for _, container in containers(resources):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            how = container.get(probe, {})
            if "grpc" in how:
                assert how["grpc"]["port"] in ports.values()
            if "httpGet" in how:
                assert how["httpGet"]["port"] in ports


def test_our_containers_are_run_with_commands_and_flags_that_there_are(resources):
    from router.__main__ import commands

    group = commands()
    ours = [
        each for _, each in containers(resources) if each["image"].startswith("apportion") and "args" in each
    ]
    assert ours
    for each in ours:
        name, *rest = each["args"]
        command = group.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None, name
        command.make_context(name, list(rest))  # raises for a flag that is not there


def test_the_router_toml_is_one_that_the_service_serves(resources, router, tmp_path):
    text = (
        router_toml(resources).replace(FOLDER, str(tmp_path)).replace("/etc/apportion-tokens", str(tmp_path))
    )
    (tmp_path / "tokens.toml").write_text("")
    (tmp_path / "router.toml").write_text(text)
    assert len(load(tmp_path / "router.toml").plans) >= 3


def test_the_service_listens_where_its_pod_says(resources, router):
    ports = {port["name"]: port["containerPort"] for port in main_container(resources)["ports"]}
    said = {
        "grpc": router["server"]["listen"],
        "http": router["server"]["http_listen"],
        "metrics": router["metrics"]["listen"],
    }
    if "admin" in ports:
        said["admin"] = router["server"]["admin_listen"]
    else:
        assert router["server"]["admin_listen"].startswith("127.0.0.1:")
    assert ports == {name: int(address.rpartition(":")[2]) for name, address in said.items()}
    assert all(address.startswith("0.0.0.0:") for address in said.values())


def test_the_pod_has_more_time_to_stop_than_the_server_takes_to_drain(resources, router):
    assert service(resources)["spec"]["terminationGracePeriodSeconds"] > router["server"]["drain_s"]


def test_what_the_service_writes_lies_on_a_volume(resources, router):
    mounts = {
        mount["mountPath"] for mount in main_container(resources)["volumeMounts"] if not mount.get("readOnly")
    }
    for place in (router["store"]["sqlite"], router["bundles"]):
        assert any(Path(place).is_relative_to(mount) for mount in mounts), place


def test_model_servers_are_where_the_router_asks_and_are_called_what_it_calls_them(
    overlay, resources, router
):
    services = of(resources, "Service")
    listening = {}
    for _, each in containers(resources):
        if "--port" in each.get("args", ()):
            listening[int(each["args"][each["args"].index("--port") + 1])] = each
    for backend in router["backends"].values():
        for url in backend["urls"]:
            host, _, port = url.removeprefix("http://").rpartition(":")
            if host == "127.0.0.1":
                assert int(port) in listening
            elif host in services:
                (found,) = (
                    pod["spec"]["containers"][0]
                    for _, pod in pods(resources)
                    if services[host]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
                )
                args = found["args"]
                assert args[args.index("--served-model-name") + 1] == backend["model"]
                assert int(args[args.index("--port") + 1]) == int(port)
                assert int(args[args.index("--max-model-len") + 1]) == backend["context_tokens"]
            else:
                assert overlay in ("base", "overlays/production")  # asked where they are: README says so
                assert host in README


def test_the_connector_is_started_as_its_own_module_says(render):
    for name, layers in (("small", [14, 18, 23]), ("large", [32, 43, 53])):
        pod = of(render("overlays/gpu"), "Deployment")[f"vllm-{name}"]["spec"]["template"]["spec"]
        (vllm,) = pod["containers"]
        flags = server_flags(layers, {"folder": "/states", "states": "values"})
        assert vllm["args"][-len(flags) :] == flags
        (mount,) = (one for one in vllm["volumeMounts"] if one["mountPath"] == "/states")
        toml = tomllib.loads(router_toml(render("overlays/gpu")))
        assert toml["backends"][name]["hidden_at"] == f"/states/{mount['subPath']}"
        assert pod["initContainers"][0]["command"][2] == "/app/connector/."


def test_paths_inside_our_image_are_put_there():
    dockerfile = (ROOT / "Dockerfile").read_text()
    text = "".join(path.read_text() for path in (ROOT / "k8s" / "overlays").rglob("*.yaml"))
    for place in set(re.findall(r"/app/\w+", text)):
        assert place in dockerfile, place
    # `--recording house` of the demo
    assert (ROOT / "training" / "recordings" / "house" / "meta.json").exists()


def test_the_autoscaler_follows_a_metric_that_there_is(render):
    (hpa,) = of(render("overlays/production"), "HorizontalPodAutoscaler").values()
    names = [one["pods"]["metric"]["name"] for one in hpa["spec"]["metrics"] if one["type"] == "Pods"]
    assert names == ["apportion_running_queries"]
    assert set(names) <= set(CATALOGUE)
    assert hpa["spec"]["scaleTargetRef"]["name"] in of(render("overlays/production"), "Deployment")
    assert names[0] in README  # how the cluster gets it


def test_only_operators_reach_the_admin_port_of_production(render):
    rules = [
        (rule["from"], {port["port"] for port in rule["ports"]})
        for one in of(render("overlays/production"), "NetworkPolicy").values()
        for rule in one["spec"].get("ingress", ())
    ]
    (peers,) = (peers for peers, ports in rules if "admin" in ports)
    assert peers == [{"podSelector": {"matchLabels": {"apportion-operator": "true"}}}]


def test_strangers_need_a_token_in_production_and_its_file_is_mounted(render):
    resources = render("overlays/production")
    tokens = Path(tomllib.loads(router_toml(resources))["auth"]["tokens"])
    mounts = {mount["mountPath"]: mount for mount in main_container(resources)["volumeMounts"]}
    assert mounts[str(tokens.parent)]["readOnly"] is True
    assert f"--from-file={tokens.name}" in README


def test_several_replicas_share_their_budgets(render):
    resources = render("overlays/production")
    assert (
        "replicas" not in of(resources, "Deployment")["apportion"]["spec"]
    )  # the autoscaler's, over every apply
    assert of(resources, "HorizontalPodAutoscaler")["apportion"]["spec"]["minReplicas"] > 1
    store = tomllib.loads(router_toml(resources))["store"]
    assert store["ledger"].startswith("postgresql://")
    cycle = of(resources, "CronJob")["apportion-cycle"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    args = cycle["containers"][0]["args"]
    assert args[args.index("--store") + 1] == store["postgres"]  # what they log is what is learned from


def test_the_readme_names_every_overlay():
    assert all(f"k8s/{overlay}" in README for overlay in OVERLAYS)


def test_yaml_files_are_read_as_they_look():
    """No duplicate keys and no surprise booleans: strings that look otherwise are quoted."""
    for path in (ROOT / "k8s").rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert isinstance(document, dict), path
