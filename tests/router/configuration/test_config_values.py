"""Keys, types, units and ranges of router.toml.

Each row is a file with one mistake; the line that must be named ends in `#!`.
"""

from __future__ import annotations

import pytest

SMALL = '[backends.small]\nurls = ["http://127.0.0.1:1"]\nmodel = "m"\n'
ONE = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
GOOD = SMALL + ONE


def stage(text: str) -> str:
    return f'{SMALL}[[plans]]\nname = "one"\nstages = [\n  {{ backend = "small", {text} }}, #!\n]\n'


def backend(text: str) -> str:
    return f"{SMALL}{text} #!\n{ONE}"


def top(text: str) -> str:
    return f"{text} #!\n{GOOD}"


WRONG = [
    # keys
    (top("mod = 'apply'"), "mod: unknown key 'mod'", "choose from answers,", "did you mean 'mode'?"),
    (backend("max_token = 5"), "backends.small.max_token: unknown key", "did you mean 'max_tokens'?"),
    (stage("widht = 2"), "plans[0].stages[0].widht: unknown key", "did you mean 'width'?"),
    (GOOD + "[server]\nport = 1 #!\n", "server.port: unknown key 'port'", "listen"),
    (SMALL + '[[plans]] #!\nstages = [{ backend = "small" }]\n', "plans[0]: the key 'name' is missing"),
    (
        SMALL + "[[plans]]\nname = 'a'\nstages = [{ width = 1 }] #!\n",
        "stages[0]: the key 'backend' is missing",
    ),
    # types
    (top("mode = 'aply'"), "mode: unknown value 'aply'", "apply, bypass, observe", "did you mean 'apply'?"),
    (
        GOOD + "[[modes]]\nmode = 'aply' #!\n",
        "modes[0].mode: unknown value 'aply'",
        "did you mean 'apply'?",
    ),
    (GOOD + "[[modes]] #!\nshare = 0.1\n", "modes[0]: the key 'mode' is missing"),
    (GOOD + "[store.tenants.search] #!\n", "store.tenants.search: the key 'keep' is missing"),
    (top("mode = 1"), "mode: wants one of bypass, observe, apply, got 1"),
    (top("reference = 3"), "reference: wants text in quotes, got 3"),
    (backend("tools = 'yes'"), "backends.small.tools: wants true or false, without quotes, got 'yes'"),
    (backend("max_tokens = 10.5"), "backends.small.max_tokens: wants a whole number of tokens", "got 10.5"),
    (backend("max_tokens = true"), "backends.small.max_tokens: wants a whole number", "got true"),
    (stage("max_samples = '4'"), "stages[0].max_samples: wants a whole number", "got '4'; write 4"),
    (
        SMALL.replace('["http://127.0.0.1:1"]', '"http://127.0.0.1:1" #!') + ONE,
        "urls: wants a list",
        "write [",
    ),
    (
        SMALL.replace('["http://127.0.0.1:1"]', '[\n"http://a:1",\n7, #!\n]') + ONE,
        "urls[1]: wants text",
        "got 7",
    ),
    (stage("stop = 3"), "stages[0].stop: wants a name, or a table", "got 3"),
    (top("server = 'here'"), "server: wants a table, got 'here'"),
    (SMALL + "[[plans]]\nname = 'a'\nstages = [\n1, #!\n]\n", "stages[0]: wants a table, got 1"),
    # units and ranges
    (backend("price_in = 4e-8"), "backends.small.price_in: 4e-08 looks like $ per token", "write 0.04"),
    (backend("price_out = -1"), "price_out: wants a number ($ per 1M tokens) from 0", "got -1"),
    (backend("price_out = nan"), "price_out: wants a number", "got nan; it must be finite"),
    (backend("price_out = '$0.08'"), "price_out: wants a number ($ per 1M tokens)", "write 0.08"),
    (top("price = inf"), "price: wants a number", "got inf; it must be finite"),
    (backend("timeout_s = '20s'"), "timeout_s: wants a number of seconds", "got '20s'; write 20"),
    (backend("timeout_s = '5min'"), "got '5min'; write 300"),
    (backend("timeout_s = 120000"), "timeout_s: wants a number of seconds", "milliseconds, write 120"),
    (backend("timeout_s = 0"), "timeout_s: wants a number of seconds above 0", "got 0"),
    (top("seed = " + "9" * 400), "seed: wants a whole number", "got a number of 400 digits"),
    (GOOD + "[server]\nmax_message_bytes = 16 #!\n", "max_message_bytes", "if these are MiB, write 16777216"),
    (GOOD + "[server]\nmax_message_bytes = '16MiB' #!\n", "max_message_bytes", "write 16777216"),
    (GOOD + "[budget]\ndollars = -5 #!\n", "budget.dollars: wants a number of dollars from 0", "got -5"),
    (GOOD + "[budget]\nwindow_s = '1h' #!\n", "budget.window_s", "write 3600"),
    (
        GOOD + "[[modes]]\nmode='apply'\nshare = 5 #!\n",
        "modes[0].share: wants a share from 0 to 1, got 5",
        "write 0.05",
    ),
    (GOOD + "[[modes]]\nmode='apply'\nshare = '5%' #!\n", "modes[0].share: wants a share", "write 0.05"),
    (stage("top_p = 0"), "stages[0].top_p: wants a share above 0 and at most 1, got 0"),
    (stage("temperature = 3"), "stages[0].temperature: wants a number from 0 to 2, got 3"),
    (stage("max_samples = 0"), "stages[0].max_samples: wants a number from 1", "got 0"),
    (
        stage("max_samples = 2, width = 3"),
        "stages[0].width: 3 samples in flight are more than max_samples = 2",
    ),
    (
        stage("max_tokens = 10, thinking_tokens = 20"),
        "thinking_tokens: 20 tokens of thinking",
        "the 10 tokens",
    ),
]


@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for text, *words in WRONG], ids=[row[1] for row in WRONG]
)
def test_a_wrong_value_is_named_with_its_line(refused, text, words):
    said = refused(text)
    assert [word for word in words if word not in said] == []
