"""Budgets and prices in router.toml: what is right becomes accounts, what is wrong is said with its line."""

from __future__ import annotations

from typing import Any

import pytest

from router.configuration.budgets import build_accounts, ledger_address
from router.configuration.file import examine, load
from router.costs.price_list import PriceList
from router.errors import ConfigError

PLAN = '[[plans]]\nname = "a"\nstages = [{ backend = "s" }]\n'
SMALL = '[backends.s]\nkind = "scripted"\nprice_in = 1.0\nprice_out = 2.0\n'
STORE = '[store]\nsqlite = ":memory:"\n'


@pytest.fixture
def file(tmp_path) -> Any:
    def write(text: str, backend: str = SMALL, store: str = STORE) -> Any:
        path = tmp_path / "router.toml"
        path.write_text(text + backend + PLAN + store)
        return path

    return write


def problems(path) -> str:
    return "\n".join(str(problem) for problem in examine(path).problems)


def test_accounts_are_built_as_written(file):
    config = load(
        file(
            '[budget]\ndollars = 5.0\nwindow = "month"\ncurrencies = { EUR = 1.25 }\n'
            '[[budgets]]\nname = "project"\namount = 2.0\nunit = "EUR"\nwindow = "day"\n'
            '[[budgets]]\nname = "team"\nwithin = "project"\namount = 1000.0\nunit = "tokens"\nwindow_s = 60.0\n'
            'tenants = ["t"]\n'
        )
    )
    team, project, everything = build_accounts(config).chain("t")
    assert (team.limit, team.unit, team.window.length_s) == (1_000_000_000, "tokens", 60.0)
    assert (project.limit, project.unit, project.window.kind) == (2_000_000, "EUR", "day")
    assert (everything.limit, everything.window.kind) == (5_000_000, "month")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budget]\ndollars = -1.0\n", "budget.dollars: wants a number of dollars"),
        ("[budget]\ndollars = 1e12\n", "budget.dollars: wants a number of dollars"),
        ("[budget]\ndollars = nan\n", "it must be finite"),
        ("[budget]\nwindow_s = 0\n", "budget.window_s: wants a number of seconds"),
        ('[budget]\nwindow = "week"\n', "unknown value 'week'; choose from day, hour, month, rolling"),
        ("[budget]\nrequest_s = 0\n", "budget.request_s"),
        ("[budget]\naway_share = 5\n", "a share is a fraction, not percent: write 0.05"),
        ("[budget]\ncurrencies = { EUR = 0.0 }\n", "wants the dollars that one unit costs, above 0"),
        ("[budget]\ncurrencies = { tokens = 2.0 }\n", "'tokens' is no currency"),
        ('[[budgets]]\nname = "a"\namount = -2.0\n', "budgets[0].amount"),
        ('[[budgets]]\nname = "a"\nunit = "EUR"\n', "currency 'EUR' has no price: write currencies"),
        ('[[budgets]]\nname = "a"\nunit = "gpu_seconds"\n', "give them a gpu_share"),
        ('[[budgets]]\nname = "all"\n', "not 'all' (that is [budget])"),
        ('[[budgets]]\nname = "a/b"\n', "without '/'"),
        ('[[budgets]]\nname = "a"\nwithin = "b"\n', "within = 'b' is no budget; choose from a, all"),
        ('[[budgets]]\nname = "a"\n[[budgets]]\nname = "a"\n', "two of this name"),
        ('[[budgets]]\nname = "a"\nwindow_s = 0.0\n', "budgets[0].window_s"),
    ],
)
def test_a_budget_that_cannot_be_is_told_with_its_line(file, text, said):
    told = problems(file(text))
    assert said in told
    assert "router.toml:" in told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('prices = [{ since = "soon" }]', "wants a date such as"),
        ('prices = [{ since = "2027-01-01" }, { since = "2027-01-01T00:00:00Z" }]', "begin at the same time"),
        ('prices = [{ since = "2027-01-01", price_in = -1.0 }]', "price_in"),
        ("price_per_gpu_second = 0.001", "means nothing without gpu_share"),
    ],
)
def test_a_price_that_cannot_be_is_told(file, line, said):
    assert said in problems(file("", f"{SMALL}{line}\n"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:secret@host/db", "holds a password; put it into PGPASSWORD"),
        ("postgresql://u@host/db?password=secret", "holds a password; put it into PGPASSWORD"),
        ("mysql://host/db", "wants postgresql://"),
        ("nowhere/budgets.db", "there is no folder"),
    ],
)
def test_a_place_for_budgets_that_cannot_be_is_told(file, address, said):
    assert said in problems(file("", store=f'{STORE}ledger = "{address}"\n'))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:secret@host/db", "holds a password; put it into PGPASSWORD"),
        ("postgresql://u@host/db?password=secret", "holds a password; put it into PGPASSWORD"),
        ("rows.db", "wants postgresql://HOST/DATABASE"),
        ("postgresql://u@host/db?sslmod=require", 'invalid URI query parameter: "sslmod"'),
        (
            "postgresql://u@host/db?sslmode=yes",
            "sslmode wants one of disable, allow, prefer, require, verify-ca",
        ),
        ("postgresql://u@host/%zz", 'invalid percent-encoded token: "%zz"'),
    ],
)
def test_a_server_for_decisions_that_cannot_be_is_told(file, address, said):
    assert said in problems(file("", store=f'{STORE}postgres = "{address}"\n'))


def test_parameters_of_a_servers_address_that_it_knows_are_no_problem(file):
    address = "postgresql://u@host:5433/db?sslmode=verify-full&sslrootcert=/ca.pem&options=-csearch_path%3Dx"
    assert problems(file("", store=f'{STORE}postgres = "{address}"\n')) == ""


def test_budgets_are_kept_where_decisions_of_several_replicas_are(file):
    address = "postgresql://host/db"
    assert ledger_address(load(file("", store=f'{STORE}postgres = "{address}"\n'))) == address


def test_budgets_are_kept_beside_the_decisions_unless_said_otherwise(file):
    assert ledger_address(load(file(""))) == ":memory:"
    assert ledger_address(load(file("", store='[store]\nsqlite = "d.db"\n'))) == "d.db.budgets"
    assert ledger_address(load(file("", store=f'{STORE}ledger = "l.db"\n'))) == "l.db"


def test_prices_change_on_their_dates_and_what_is_left_out_stays(file):
    dated = (
        'prices = [{ since = "2027-02-01", price_in = 3.0 }, '
        '{ since = "2027-01-01", price_out = 9.0, price_per_gpu_second = 0.5 }]\ngpu_share = 0.25\n'
    )
    prices = PriceList(load(file("", f"{SMALL}{dated}")))
    january, february = prices.next_after(0.0), prices.next_after(prices.next_after(0.0))
    assert [prices.version(at) for at in (0.0, january, february)] == [
        "",
        "2027-01-01T00:00:00+00:00",
        "2027-02-01T00:00:00+00:00",
    ]
    before, first, second = (prices.prices(at)["s"] for at in (january - 1, january, february))
    assert (before.per_token_in, before.per_token_out, before.per_gpu_second) == (1.0, 2.0, 0.0)
    assert (first.per_token_in, first.per_token_out, first.per_gpu_second) == (1.0, 9.0, 500_000.0)
    assert (second.per_token_in, second.per_token_cached, second.per_token_out) == (3.0, 3.0, 9.0)
    assert prices.bounds(february)["s"].gpu_seconds == 30.0
    assert prices.next_after(february) == float("inf")


def test_two_accounts_of_one_tenant_are_refused(file):
    text = '[[budgets]]\nname = "a"\ntenants = ["t"]\n[[budgets]]\nname = "b"\ntenants = ["t"]\n'
    with pytest.raises(ConfigError, match="tenant 't' is already in 'a'"):
        load(file(text))
