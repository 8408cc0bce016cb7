"""The audit of a service whose callers drew samples themselves, and reported all, some or none of what they used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from predictors.observation import Message, Part, Query, Sample
from router.__main__ import commands
from router.advising.advisor import Advisor
from router.advising.feed import Brought
from router.advising.held_reservations import HeldReservations
from router.assemble import assemble
from router.configuration.file import load
from router.domain.events import Started
from router.domain.options import Options
from router.domain.usage import Usage

TOML = """
reference = "wide"
[backends.small]
kind = "scripted"
script = ["4"]
price_in = 1.0
price_out = 2.0
max_tokens = 40
[[plans]]
name = "wide"
stages = [{ backend = "small", max_samples = 4, width = 3, stop = { kind = "agreement", needed = 2 } }]
[store]
sqlite = "decisions.db"
[budget]
dollars = 1.0
"""


async def serve(folder: Path, samples: int, later: Mapping[str, Usage] | None) -> None:
    """One advised query of which so many samples are brought, and what is reported after it."""
    service = assemble(load(folder / "router.toml"), base=folder)
    held, seen = HeldReservations(service.allocator.books), list[str]()

    async def messages() -> AsyncIterator[Brought]:
        for number in range(samples):
            yield Brought(Sample(f"s{number}", "small", "4"), Usage(10, tokens_out=5))

    async def tell(event: Any) -> None:
        if isinstance(event, Started):
            seen.append(event.decision_id)

    query = Query("r", (Message("user", (Part(text="2 + 2?"),)),))
    await Advisor(service.allocator, held, {}).advise(query, Options(), messages(), tell)
    if later is not None:
        held.report(seen[0], later, final=True)
    await service.close()


@pytest.mark.parametrize(
    ("samples", "later"), [(3, None), (2, {"small": Usage(25, tokens_out=7)}), (2, {}), (2, None)]
)
def test_every_micro_unit_adds_up(tmp_path, samples, later):
    (tmp_path / "router.toml").write_text(TOML)
    asyncio.run(serve(tmp_path, samples, later))
    said = StringIO()
    with redirect_stdout(said):
        commands().main(["audit", "--config", str(tmp_path / "router.toml")], standalone_mode=False)
    assert "every micro-unit adds up" in said.getvalue()
