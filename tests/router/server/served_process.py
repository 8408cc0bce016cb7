"""A whole service as a process of its own: `served_process.py FOLDER`; its one backend answers once FOLDER/gate is there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from predictors.observation import Sample
from router.assemble import assemble
from router.backends import Call, Capabilities
from router.config import Config
from router.domain.usage import Meter, Usage
from router.server import Addresses, serve


@dataclass
class Waiting:
    """Waits for a file."""

    gate: Path
    name: str = "waiting"
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 (frozen)

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample]:
        self.gate.with_name("entered").touch()
        try:
            while not self.gate.exists():  # noqa: ASYNC110 (another process makes it)
                await asyncio.sleep(0.01)
        finally:
            meter.add(self.name, Usage(1, tokens_out=1, samples=1))
        yield Sample("0.0", self.name, "done", finish_reason="stop")

    async def close(self) -> None:
        """Nothing to release."""


def main(folder: Path) -> None:
    table = {
        "backends": {"waiting": {"kind": "scripted"}},
        "plans": [{"name": "waiting", "stages": [{"backend": "waiting"}]}],
        "store": {"sqlite": "rows.db"},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_s": 30.0},
    }
    backends = {"waiting": Waiting(folder / "gate")}
    service = assemble(msgspec.convert(table, Config), base=folder, backends=backends)

    def ready(addresses: Addresses) -> None:
        print(addresses.router, addresses.admin, flush=True)  # noqa: T201 (the test reads it)

    asyncio.run(serve(service, ready))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
