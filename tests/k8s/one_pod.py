"""A pod on this machine, without a container runtime: `one_pod.py SPEC.json`, run as root of its own namespaces.

The tree becomes read-only but for the volumes, the containers run as the manifest's user without any capability and
with the manifest's variables alone, and the probes are asked as a kubelet asks them. What came of it is printed as JSON.
SPEC: {"containers": [{"name", "command", "env", "cwd"}], "uid", "gid", "binds": [[from, to, "ro" | "rw"]],
"reachable": [folders above which others may not look], "probes": [{"port", "service"}], "writes": [paths], "within_s",
"log", "after": [commands of the pod's user, one after the other, once it is ready]}.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path("/mnt/tree")  # in a mount namespace of its own
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def loopback_up() -> None:
    """A new network namespace has nothing but a loopback that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(any_socket, SIOCGIFFLAGS, name))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def tree(spec: dict[str, Any]) -> None:
    """A copy of this machine's tree at `ROOT` that costs nothing: folders for the volumes are made, then it is read-only."""
    stage = ROOT.parent
    mount("-t", "tmpfs", "tmpfs", str(stage))
    for name in ("upper", "work", ROOT.name):
        (stage / name).mkdir()
    layers = f"lowerdir=/,upperdir={stage}/upper,workdir={stage}/work"
    mount("-t", "overlay", "overlay", "-o", layers, str(ROOT))
    for folder in spec["reachable"]:  # their owners may not let others in; in the copy they do
        for above in (Path(folder), *Path(folder).parents):
            inside(above).chmod(0o755)
    for _, target, _ in spec["binds"]:
        inside(target).mkdir(parents=True, exist_ok=True)
    mount("-o", "remount,ro", str(ROOT))
    for name in ("/proc", "/dev"):
        mount("--rbind", name, str(inside(name)))
    for source, target, how in spec["binds"]:
        mount("--bind", source, str(inside(target)))
        if how == "ro":
            mount("-o", "remount,bind,ro", str(inside(target)))
    hidden = [target for _, target, _ in spec["binds"]]
    for folder in spec["reachable"]:  # on another file system than the layer below, or under a volume
        under = any(Path(folder).is_relative_to(target) for target in hidden)
        if under or Path(folder).stat().st_dev != Path("/").stat().st_dev:
            inside(folder).mkdir(parents=True, exist_ok=True)
            mount("--bind", folder, str(inside(folder)))
            mount("-o", "remount,bind,ro", str(inside(folder)))


def inside(path: str | Path) -> Path:
    """Where the pod's `path` lies, seen from outside."""
    return ROOT / str(path).lstrip("/")


def started(
    spec: dict[str, Any], command: list[str], env: dict[str, str], cwd: str, log: Any
) -> subprocess.Popen[bytes]:
    rights = ["--reuid", str(spec["uid"]), "--regid", str(spec["gid"]), "--clear-groups", "--no-new-privs"]
    locked = ["setpriv", *rights, "--bounding-set=-all", "--inh-caps=-all"]

    def enter() -> None:
        os.chroot(ROOT)
        os.chdir(cwd)

    return subprocess.Popen([*locked, *command], env=env, stdout=log, stderr=log, preexec_fn=enter)  # noqa: PLW1509 (one thread)


def ready(probe: dict[str, Any]) -> bool:
    """One gRPC probe, as a kubelet asks it."""
    with grpc.insecure_channel(f"127.0.0.1:{probe['port']}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        wanted = health_pb2.HealthCheckRequest(service=probe.get("service", ""))
        try:
            reply = stub.Check(wanted, timeout=1)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    log = Path(spec["log"]).open("wb")  # noqa: SIM115 (the containers' own)
    loopback_up()
    tree(spec)
    running = [started(spec, one["command"], one["env"], one["cwd"], log) for one in spec["containers"]]
    found: dict[str, Any] = {}
    try:
        began = time.monotonic()
        while (
            not (all_ready := all(map(ready, spec["probes"]))) and time.monotonic() - began < spec["within_s"]
        ):
            if any(process.poll() is not None for process in running):
                break
            time.sleep(0.2)
        found["ready"] = all_ready
        found["after_s"] = round(time.monotonic() - began, 1)
        status = Path(f"/proc/{running[0].pid}/status").read_text()
        found |= {
            key: status.split(f"{key}:\t")[1].split("\n")[0].split("\t")[0]
            for key in ("Uid", "CapEff", "NoNewPrivs")
        }
        found["written"] = [
            path
            for path in spec["writes"]
            if started(spec, ["sh", "-c", f"echo > {path}"], running_env(spec), "/", log).wait() == 0
        ]
        found["after"] = [
            started(spec, one["command"], one["env"], one["cwd"], log).wait() for one in spec["after"]
        ]
    finally:
        for process in running:
            process.terminate()
        found["codes"] = [process.wait(timeout=40) for process in running]
    print(json.dumps(found))  # noqa: T201 (read by the test)


def running_env(spec: dict[str, Any]) -> dict[str, str]:
    return dict(spec["containers"][0]["env"])


if __name__ == "__main__":
    main()
