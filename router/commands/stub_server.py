"""`apportion stub-server`: the model server that is none, where a GPU would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def stub_server(
    recording: Annotated[
        Path | None, typer.Option(help="Folder of a recording; every backend of it is a model here.")
    ] = None,
    script: Annotated[
        Path | None, typer.Option(help="A file with a reply on every line: text or JSON.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the recording's models (default: all), or any name (default: stub); may be repeated."
        ),
    ] = None,
    only_recorded: Annotated[
        bool,
        typer.Option(
            "--only-recorded",
            help="Refuse texts that are not in the recording; default: a sentence that says so.",
        ),
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0: any free one.")] = 8000,
    pace: Annotated[
        float, typer.Option(min=0.0, help="0: at once, 1: as fast as recorded, 2: twice as fast.")
    ] = 0.0,
    fault: Annotated[
        list[str] | None, typer.Option(help="KIND or KIND:COUNT, the next requests fail so; may be repeated.")
    ] = None,
    api_key: Annotated[str, typer.Option(help="Refuse requests without this key.")] = "",
) -> None:
    """Play an OpenAI-compatible model server from a recording, a script or made-up words.

    It answers any text: one that is not in the recording gets a sentence that says so and a made-up number.
    Prints `listening on http://127.0.0.1:PORT` when it is ready; ends on SIGTERM.
    """
    from router.backends.stub_server import main

    arguments = ["--port", str(port), "--pace", str(pace), "--api-key", api_key]
    for option, value in (("--recording", recording), ("--script", script)):
        if value is not None:
            arguments += [option, str(value)]
    if recording is not None and not only_recorded:
        arguments.append("--made-up")
    for option, values in (("--model", model), ("--fault", fault)):
        for text in values or []:
            arguments += [option, text]
    main(arguments)
