"""`apportion metrics`: every metric that `/metrics` can show."""

from __future__ import annotations

from typing import Annotated

import typer


def metrics(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """List the metrics: name, kind, labels, meaning, as a Markdown table."""
    from router.telemetry.catalogue import CATALOGUE
    from router.telemetry.reference import reference

    if not as_json:
        typer.echo(reference(), nl=False)
        return
    import json

    rows = {
        name: {"kind": metric.kind.value, "labels": list(metric.labels), "meaning": metric.meaning}
        for name, metric in CATALOGUE.items()
    }
    typer.echo(json.dumps(rows, ensure_ascii=False))
