"""What `--help` shows: prose that flows on any terminal, and defaults that are the same for all commands."""

from __future__ import annotations

import pytest

from router.__main__ import commands
from router.command_group import as_written


def test_help_flows_where_a_source_line_broke_a_sentence_and_not_after_its_end():
    text = """Say it [at] once.

    A limit holds, and what is in
    flight goes on. `ask` too
    may end:
    `listening`, and then.
    Exit code 0: well.
      * kept
    """
    assert as_written(text) == (
        "Say it \\[at] once.\n\nA limit holds, and what is in flight goes on. `ask` too may end:\n"
        "`listening`, and then.\nExit code 0: well.\n  * kept"
    )


def test_check_reads_router_toml_where_no_file_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        commands().main(["check"], prog_name="apportion")
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("router.toml: cannot be read")
