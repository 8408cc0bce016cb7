"""The process that shuts itself in and then runs foreign Python; started by `sandbox`, imports nothing of ours.

    outer: fork -> wait for the child to leave its namespaces -> write its id maps -> wait for its end
    child: unshare (users, mounts, processes, network, IPC, names) -> fork (the first process of the new room)
    inner: a root of its own in memory, holding a read-only Python and an empty /box -> limits -> nobody -> exec

One argument, JSON: the limits, and `weak`: where the kernel refuses the namespaces go on with the limits alone, unless
we are root. Exits with 97 where it refuses to run. The foreign code gets standard input (its job) and output (a point
when it starts, the token when it has come to its end).
"""

# ruff: noqa: PTH102, PTH103, PTH110, PTH114, PTH115, PTH120, PTH211 (calls of the kernel, on paths of another root)

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import stat
import sys
from typing import Any

REFUSED = 97
NOBODY = 65534
NEW_MOUNTS, NEW_NAMES, NEW_IPC, NEW_USERS, NEW_PROCESSES, NEW_NETWORK = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
READ_ONLY, NO_SUID, NO_DEVICES, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
SET_DEATH_SIGNAL, SET_NO_NEW_PRIVILEGES = 1, 38  # prctl
SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

libc = ctypes.CDLL(None, use_errno=True)

# Runs inside: the code, then the tests in the same names; the token says that the end was reached.
RUNNER = """
import json, os, sys
job = json.loads(sys.stdin.buffer.read())
verdict = os.dup(1)
nothing = os.open("/dev/null", os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(nothing, number)
names = {"__name__": "answer"}
os.write(verdict, b".")
exec(compile(job["code"], "answer.py", "exec"), names)
exec(compile(job["tests"], "tests.py", "exec"), names)
os.write(verdict, job["token"].encode())
"""


def checked(result: int) -> None:
    """Raise the C library's error."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """The system call of that name."""
    checked(
        libc.mount(
            source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), options.encode()
        )
    )


def main() -> None:
    """Shut the door, then run."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    # not that of an environment: inside there is no environment
    job["python"] = os.path.realpath(sys.executable)
    job["root"] = os.geteuid() == 0
    left, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(left[0])
        os.close(mapped[1])
        leave(job, left[1], mapped[0])
    os.close(left[1])
    os.close(mapped[0])
    if os.read(left[0], 1) == b"1":
        give_ids(child)
    os.close(mapped[1])
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def leave(job: dict[str, Any], left: int, mapped: int) -> None:
    """Into new namespaces, or without them where that is refused and allowed; never returns."""
    libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    rooms = NEW_USERS | NEW_MOUNTS | NEW_PROCESSES | NEW_NETWORK | NEW_IPC | NEW_NAMES
    try:
        checked(libc.unshare(rooms))
        os.write(left, b"1")
        os.read(mapped, 1)  # until the other side is closed
        inner = os.fork()  # only a child is in the new room of processes; when it ends all of them do
    except OSError as error:
        os.write(left, b"0")
        without_a_room(job, error)
        raise  # never reached
    if inner:
        _, status = os.waitpid(inner, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    try:
        own_root(job)
    except OSError as error:
        without_a_room(job, error)
    limited(job)


def without_a_room(job: dict[str, Any], error: OSError) -> None:
    """Go on with the limits alone where that is allowed; never as root, whom they do not hold. Never returns."""
    if not job["weak"] or job["root"]:
        refuse(error)
    os.chdir(job["folder"])
    limited(job)


def refuse(error: OSError) -> None:
    """Say why, and end."""
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    os._exit(REFUSED)


def give_ids(child: int) -> None:
    """One user inside, nobody: the real nobody where we are root, else ourselves."""
    user, group = (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    if user != NOBODY or os.geteuid() != 0:
        write(f"/proc/{child}/setgroups", "deny")
    write(f"/proc/{child}/gid_map", f"{NOBODY} {group} 1")
    write(f"/proc/{child}/uid_map", f"{NOBODY} {user} 1")


def write(path: str, text: str) -> None:
    """A kernel file, in one write."""
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def own_root(job: dict[str, Any]) -> None:
    """A root in memory: Python and its libraries read-only, three devices, and an empty folder to write to."""
    mount("none", "/", None, RECURSIVE | PRIVATE)
    size = f"size={job['disk_bytes']},nr_inodes=4096,mode=755,uid={NOBODY},gid={NOBODY}"
    mount("tmpfs", job["folder"], "tmpfs", NO_SUID | NO_DEVICES, size)
    os.chdir(job["folder"])
    # opened while we still may look everywhere; only the user that is mapped can make files in the new root
    wanted = dict.fromkeys((*SYSTEM, os.path.realpath(sys.base_prefix)))
    opened = {path: os.open(path, os.O_PATH) for path in (*wanted, *DEVICES) if os.path.exists(path)}
    links = {path: os.readlink(path) for path in opened if os.path.islink(path)}
    become_nobody()
    for path, descriptor in opened.items():
        place = "." + path
        if os.path.lexists(place):
            continue  # Python lies below /usr
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if path in links:
            os.symlink(links[path], place)
            continue
        shown(descriptor, place)
        if path not in DEVICES:
            flags = os.statvfs(place).f_flag & (NO_SUID | NO_DEVICES | 8)  # what is locked must be said again
            mount("none", place, None, REMOUNT | BIND | READ_ONLY | NO_SUID | flags)
    os.mkdir("box")
    os.chroot(".")
    os.chdir("/box")


def shown(descriptor: int, place: str) -> None:
    """Bind what is open to another place, whatever is mounted inside it too."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
    mount(f"/proc/self/fd/{descriptor}", place, None, BIND | RECURSIVE)


def become_nobody() -> None:
    """The only user there is inside; what it may do as the room's owner ends with exec."""
    with contextlib.suppress(PermissionError):  # denied for good where we are not root
        os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # a change of user takes it back


def limited(job: dict[str, Any]) -> None:
    """Set the limits and become Python; never returns."""
    checked(libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    for kind, most in (
        (resource.RLIMIT_CPU, int(job["limit_s"]) + 1),
        (resource.RLIMIT_AS, job["memory_bytes"]),
        (resource.RLIMIT_FSIZE, job["disk_bytes"]),
        (resource.RLIMIT_NOFILE, 64),
        # who waits for it in the same room of users counts too, unless that is still root
        (resource.RLIMIT_NPROC, job["processes"] + (0 if job["root"] else 1)),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.closerange(3, 1024)
    python = job["python"]
    os.execve(python, [python, "-I", "-S", "-B", "-c", RUNNER], {})  # noqa: S606 (no shell is meant)


if __name__ == "__main__":
    main()
