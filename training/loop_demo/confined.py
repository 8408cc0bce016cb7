"""Run a command that reads what is named and nothing else: `python -m training.loop_demo.confined FOLDER… -- COMMAND…`.

Landlock (Linux 5.13) takes the right to open any other file from this process and its children, whoever runs it. The
last FOLDER may also be written to. Elsewhere (another system, an older kernel) it refuses to run.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # system calls, the same on every architecture
PATH_BENEATH = 1
NO_NEW_PRIVS = 38  # of prctl
LIST = 1 << 3  # a folder
READ = (1 << 0) | (1 << 2) | LIST  # execute, read a file
FILE_RIGHTS = (1 << 0) | (1 << 1) | (1 << 2)  # what a rule about a file, not a folder, may grant
ALL = (1 << 13) - 1  # of the first version: all about files
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt")
ROOT = Path(__file__).resolve().parents[2]
DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero", "/dev/shm")  # noqa: S108 (of processes that share memory)


def confine(readable: Sequence[Path], writable: Sequence[Path], listable: Sequence[Path] = ()) -> None:
    """From now on only these can be opened, for ever. Raises `OSError` where the system cannot do it."""
    library = ctypes.CDLL(None, use_errno=True)
    rules = _called(library, CREATE, struct.pack("Q", ALL), 8, 0)
    try:
        for paths, rights in ((readable, READ), (writable, ALL), (listable, LIST)):
            for path in paths:
                if not path.exists():
                    continue
                number = os.open(path, os.O_PATH)
                try:
                    granted = rights if path.is_dir() else rights & FILE_RIGHTS
                    _called(library, ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", granted, number), 0)
                finally:
                    os.close(number)
        if library.prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        _called(library, RESTRICT, rules, 0)
    finally:
        os.close(rules)


def own_code() -> list[Path]:
    """Python, its packages and ours, without the recordings that ship with ours."""
    root = ROOT
    paths = {Path(found) for found in (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix) if found}
    paths |= {root / "router", root / "predictors", root / "pyproject.toml"}
    paths |= {path for path in (root / "training").iterdir() if path.name != "recordings"}
    paths |= set(root.glob("*.egg-info"))
    return sorted(path for path in paths if path not in (root, root / "training"))


def _called(library: ctypes.CDLL, number: int, *arguments: object) -> int:
    found = int(library.syscall(number, *arguments))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return found


def main(arguments: Sequence[str]) -> None:
    """Confine this process and become the command."""
    at = list(arguments).index("--")
    folders, command = [Path(one).resolve() for one in arguments[:at]], list(arguments[at + 1 :])
    system = [Path(one) for one in SYSTEM]
    writable = [folders[-1], *(Path(one) for one in DEVICES)]
    confine([*system, *own_code(), *folders], writable, [ROOT, ROOT / "training"])
    os.environ["TMPDIR"] = str(folders[-1])
    os.environ["MPLCONFIGDIR"] = str(folders[-1])
    os.execv(command[0], command)  # noqa: S606 (no shell: the command as given)


if __name__ == "__main__":
    main(sys.argv[1:])
