"""`apportion budget`, `usage` and `audit`: against a service in a process of its own, and the files it left."""

from __future__ import annotations

import asyncio
import calendar
import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from predictors.observation import Message, Part, Query
from router.__main__ import commands
from router.assemble import assemble
from router.client import SyncClient
from router.configuration.file import load
from router.domain.options import Options

TOML = """
[backends.small]
kind = "scripted"
script = ["The answer is 4."]
price_in = 1.0
price_out = 2.0
max_tokens = 40
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
sqlite = "decisions.db"
[budget]
dollars = 1.0
[[budgets]]
name = "words"
unit = "tokens"
amount = 5000.0
window = "day"
tenants = ["w"]
[[budgets]]
name = "cents"
amount = 0.00025
tenants = ["poor"]
"""


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = commands().main(list(arguments), standalone_mode=False)
        except SystemExit as end:
            code = end.code
    return int(code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A folder in which a service ran, and what commands said meanwhile."""
    folder = tmp_path_factory.mktemp("budgets")
    config = folder / "router.toml"
    config.write_text(TOML)
    process = subprocess.Popen(
        [sys.executable, "-m", "router", "serve", "--config", str(config)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"listening router=(\S+) admin=(\S+)\n", process.stdout.readline())
        assert found is not None
        with SyncClient(found[1]) as client:
            for number in range(4):
                client.generate(f"{number}: 2 + 2?", tenant="w" if number % 2 else "other")
        poor = ("ask", "2 + 2?", "--tenant", "poor", "--server", found[1])
        said = {
            "poor": [run(*poor) for _ in range(6)],
            "status": run("status", "--server", found[2])[1],
            "all": run("budget", "--server", found[2])[1],
            "json": run("budget", "words", "--server", found[2], "--json")[1],
            "set": run("budget", "words", "--set", "77", "--server", found[2])[1],
            "bad": run("budget", "--set", "-3", "--server", found[2])[2],
            "none": run("budget", "nobody", "--server", found[2])[2],
        }
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
    return folder, said


def test_all_accounts_are_listed(left):
    rows = left[1]["all"].splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [
        ["all", "USD", "1"],
        ["cents", "USD", "0.00025"],
        ["words", "tokens", "5000"],
    ]


def test_one_account_is_told_in_full(left):
    (balance,) = json.loads(left[1]["json"])
    assert (balance["account"], balance["unit"], balance["limit"], balance["version"]) == (
        "words",
        "tokens",
        5_000_000_000,
        1,
    )
    assert balance["spent"] > 0


def test_a_limit_is_set(left):
    row = left[1]["set"].splitlines()[1].split()
    assert (row[0], row[2], row[-1]) == ("words", "77", "2")


def test_an_amount_or_account_that_cannot_be_is_told(left):
    assert "--set: wants an amount from 0 to 1e12, or none, got '-3'" in left[1]["bad"]
    assert "unknown account 'nobody'; choose from all, cents, words" in left[1]["none"]


def test_a_refusal_names_the_account_that_is_used_up_and_when_it_may_fit(left):
    (first, _, _), *_, (last, _, refusal) = left[1]["poor"]
    assert (first, last) == (0, 1)
    assert re.search(r"\d+ are left \(account 'cents'\); it may fit in 36\d\d s$", refusal)


def test_status_names_the_accounts_with_a_limit(left):
    assert re.search(r"^  cents +0\.\d+ of 0\.00025 USD spent per 3600 s$", left[1]["status"], re.MULTILINE)
    assert re.search(r"^  words +\d+ of 5000 tokens spent per 1 d$", left[1]["status"], re.MULTILINE)


def test_status_calls_a_budget_degraded_that_is_used_up(left):
    (degraded,) = (line for line in left[1]["status"].splitlines() if line.startswith("degraded "))
    assert re.search(
        r"budget 'cents' is used up: \S+ of 0.00025 USD per 3600 s are left, and a query may cost \S+$",
        degraded,
    )
    assert degraded.count("is used up") == 1


def test_check_names_the_accounts_with_a_limit(left):
    said = run("check", str(left[0] / "router.toml"))[1]
    assert "$1 per 3600 s, budget 'words' 5000 tokens per day, budget 'cents' 0.00025 USD per 3600 s" in said


def test_check_says_the_window_that_is_meant(left, tmp_path):
    text = (left[0] / "router.toml").read_text()
    (tmp_path / "router.toml").write_text(text.replace("dollars = 1.0", 'dollars = 1.0\nwindow = "month"'))
    assert "policy utility, $1 per month, budget" in run("check", str(tmp_path / "router.toml"))[1]


def test_what_a_service_left_adds_up(left):
    code, out, err = run("audit", "--config", str(left[0] / "router.toml"))
    assert (code, err) == (0, "")
    assert "every micro-unit adds up (movements and 1 decision store)" in out


def test_usage_is_told_by_tenant_plan_and_backend(left):
    for by, names in (("tenant", {"w", "other", "poor"}), ("plan", {"one"}), ("backend", {"small"})):
        code, out, _ = run("usage", "--by", by, "--config", str(left[0] / "router.toml"), "--json")
        sums = json.loads(out)
        assert (code, set(sums)) == (0, names)
        assert sum(one["queries"] for one in sums.values()) == 4 + sum(not one[0] for one in left[1]["poor"])
        assert all(one["cost"] > 0 for one in sums.values())
    assert run("usage", "--config", str(left[0] / "router.toml"))[1].startswith("TENANT  QUERIES")


def test_a_micro_dollar_that_was_taken_away_is_found(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with closing(sqlite3.connect(tmp_path / "decisions.db.budgets")) as connection, connection:
        connection.execute(
            "UPDATE budget_movements SET amount = amount - 1 WHERE kind = 'spend' AND account = 'all'"
        )
    code, out, _ = run("audit", "--config", str(tmp_path / "router.toml"))
    assert code == 1
    assert "it does NOT add up" in out
    assert "all: booked in the window: the movements say" in out


def test_a_store_of_budgets_that_nothing_used_is_told(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with closing(sqlite3.connect(tmp_path / "decisions.db.budgets")) as connection, connection:
        connection.execute("DELETE FROM budget_accounts")
        connection.execute("DELETE FROM budget_movements")
    code, _, err = run("audit", "--config", str(tmp_path / "router.toml"))
    assert code == 1
    assert "it has no accounts; no service has used it yet" in err


def test_rows_that_were_thrown_away_are_no_difference(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE n = 1")  # as retention does
    assert run("audit", "--config", str(tmp_path / "router.toml"))[0] == 0
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        connection.execute("UPDATE replicas SET arrived = arrived - 1")  # as if it had never been there
    code, out, _ = run("audit", "--config", str(tmp_path / "router.toml"))
    assert code == 1 and "was spent, its decisions only" in out


def test_a_months_bill_says_what_is_no_longer_there(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = str(tmp_path / "router.toml")
    january = calendar.timegm((2026, 1, 31, 23, 59, 59))
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        (rows,) = connection.execute("SELECT count(*) FROM decisions").fetchone()
        connection.execute(
            "UPDATE decisions SET created_at = ? + n", (january,)
        )  # the first one alone: n is 1
        connection.execute("UPDATE decisions SET created_at = ? WHERE n = 1", (january,))

    def queries(*period: str) -> tuple[int, str]:
        _, out, err = run("usage", "--config", config, *period, "--json")
        return round(sum(one["queries"] for one in json.loads(out).values())), err

    assert queries("--since", "2026-01-01", "--until", "2026-02-01") == (1, "")
    assert queries("--since", "2026-02-01", "--until", "2026-03-01") == (rows - 1, "")
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE n = 1")  # as retention does
    found, err = queries("--since", "2026-01-01", "--until", "2026-02-01")
    assert (found, "1 may be of this time" in err) == (0, True)
    assert queries("--since", "2026-02-01T00:00:30", "--until", "2026-03-01")[1] == ""
    code, _, err = run("usage", "--config", config, "--since", "2026-03-01", "--until", "2026-02-01")
    assert (code, "there is nothing between them" in err) == (1, True)


def test_rows_that_cannot_be_read_are_told(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        connection.execute("UPDATE decisions SET body = x'93' WHERE n = 1")
    for command in ("usage", "audit"):
        code, _, err = run(command, "--config", str(tmp_path / "router.toml"))
        assert (code, err) == (0, f"1 decision left out, damaged: {tmp_path / 'decisions.db'}\n")


def test_paths_that_are_sent_on_are_paid_for_and_have_no_rows(left, tmp_path):
    for file in left[0].glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with closing(sqlite3.connect(tmp_path / "decisions.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE n = 1")
        connection.execute("UPDATE replicas SET arrived = arrived - 1")
    forwards = '[backends.embed]\nkind = "vllm"\nurls = ["http://127.0.0.1:9"]\nmodel = "e"\n'
    config = TOML.replace("[server]", forwards + '[server]\nforward = { "/v1/embeddings" = "embed" }')
    (tmp_path / "router.toml").write_text(config)
    assert run("audit", "--config", str(tmp_path / "router.toml"))[::2] == (0, "")


OBSERVED = """
mode = "observe"
policy = { kind = "fixed", plan = "two" }
reference = "one"
[shadow]
share = 1.0
dollars = 1.0
[[plans]]
name = "two"
stages = [{ backend = "small", max_samples = 2 }]
"""


@pytest.mark.postgres
def test_a_postgres_is_read_and_no_tenant_pays_for_shadows(tmp_path, postgres_address):
    config = tmp_path / "router.toml"
    config.write_text(OBSERVED + TOML.replace("[budget]", f'postgres = "{postgres_address}"\n[budget]'))

    async def observed() -> None:
        service = assemble(load(config), base=tmp_path)
        query = Query("r", (Message("user", (Part(text="2 + 2?"),)),), tenant="other")
        async for _ in service.answers.run(query, Options()):
            pass
        assert service.shadows is not None
        await asyncio.gather(*service.shadows._running)
        await service.close()

    asyncio.run(observed())
    sums = json.loads(run("usage", "--config", str(config), "--json")[1])
    assert {name: one["queries"] for name, one in sums.items()} == {"other": 1, "(shadow runs)": 1}
    named = run("usage", "--config", str(config), "--decisions", postgres_address, "--json")[1]
    assert json.loads(named) == sums
    code, out, _ = run("audit", "--config", str(config))
    assert (code, "(movements and 1 decision store)" in out) == (0, True)


def test_without_a_store_there_is_nothing_to_audit(tmp_path):
    config = tmp_path / "router.toml"
    config.write_text(TOML)
    assert "there is no such file" in run("audit", "--config", str(config))[2]
    config.write_text(TOML.replace('"decisions.db"', '":memory:"'))
    assert "in the service's memory" in run("audit", "--config", str(config))[2]
    assert "there is no decision store" in run("usage", "--config", str(config))[2]
