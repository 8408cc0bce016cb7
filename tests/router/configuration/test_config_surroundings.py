"""Backends, modes, addresses and folders of router.toml.

Each row is a file with one mistake; the line that must be named ends in `#!`.
"""

from __future__ import annotations

import pytest

SMALL = '[backends.small]\nurls = ["http://127.0.0.1:1"]\nmodel = "m"\n'
ONE = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
GOOD = SMALL + ONE


def backend(text: str) -> str:
    return f"{SMALL}{text} #!\n{ONE}"


def search(how: str, small: str = "logprobs = true") -> str:
    return (
        f"{SMALL}{small}\n[backends.both]\nkind = 'search'\ncompose = {{ small = 'small', {how} }} #!\n{ONE}"
    )


def top(text: str) -> str:
    return f"{text} #!\n{GOOD}"


WRONG = [
    # backends
    (backend("kind = 'vlm'"), "backends.small.kind: unknown backend kind 'vlm'", "did you mean 'vllm'?"),
    (backend("pace = 1.0"), "backends.small.pace: means nothing to kind 'vllm', only to recorded"),
    ("[backends.small] #!\nmodel = 'm'\n" + ONE, "backends.small: a vllm backend has urls ="),
    ("[backends.small] #!\nurls = ['http://a:1']\n" + ONE, "backends.small: a vllm backend has model ="),
    (SMALL.replace('1"]', '1/v1/"] #!') + ONE, "urls[0]: leave /v1 out: write 'http://127.0.0.1:1'"),
    (SMALL.replace("http:", "ftp:").replace('"]', '"] #!') + ONE, "urls[0]: wants http://HOST:PORT", "ftp:"),
    (
        SMALL.replace('0.1:1"]', '0.1:99999"] #!') + ONE,
        "urls[0]: 'http://127.0.0.1:99999' is no URL: Port out of",
    ),
    (
        SMALL.replace("//127", "//me:secret@127").replace('"]', '"] #!') + ONE,
        "holds a password",
        "api_key_env",
    ),
    (backend("hedge_after_s = 2"), "a second server is needed: give the backend two urls"),
    (backend("first_token_timeout_s = 200"), "200 s for the first token is more than timeout_s = 120"),
    (backend("context_tokens = 512"), "context_tokens: 512 tokens do not hold the max_tokens = 1024"),
    (backend("price_cached_in = 2"), "price_cached_in: cached input at 2 is dearer than", "= 0"),
    ("[backends.small] #!\nkind = 'recorded'\n" + ONE, "a recorded backend has recording ="),
    (
        "[backends.small]\nkind = 'recorded'\nrecording = 'nowhere' #!\n" + ONE,
        "recording: there is no folder",
        "nowhere",
    ),
    ("[backends.small]\nkind = 'recorded'\nrecording = '.' #!\n" + ONE, "recording: ", "meta.json"),
    ("[backends.small]\nkind = 'scripted'\nscript = [] #!\n" + ONE, "script is empty"),
    (backend("hidden = 'telepathy'"), "backends.small.hidden: unknown source of hidden states 'telepathy'"),
    (
        GOOD + "[server]\nmodels = { 'Qwen/Big' = 'on' } #!\n",
        "Qwen/Big",
        "unknown model 'on'; choose from auto",
    ),
    (search("large = 'big'"), "backends.both.compose: large: unknown backend to compose 'big'"),
    (
        search("scorer = 'logprob', large = 'big'"),
        "backends.both.compose: large: unknown backend to compose 'big'",
    ),
    (
        search("scorer = 'logprob', beams = 5"),
        "compose: beams = 5 texts do not go on as candidates = 4 steps",
    ),
    (
        search("scorer = 'logprob'", small=""),
        "compose: scorer = \"logprob\" needs logprobs = true of 'small'",
    ),
    (search("scorer = 'rewrad', large = 'small'"), "backends.both.compose.scorer: ", "judge"),
    (
        search("scorer = 'reward', large = 'said'") + "[backends.said]\nkind = 'scripted'\n",
        "compose: scorer = \"reward\" needs a vllm backend with urls, got 'said'",
    ),
    (
        backend("hidden_at = '/x'"),
        "backends.small.hidden_at: means nothing without hidden = connector or pooling",
    ),
    (
        backend("hidden = 'connector'\nhidden_at = 'x'"),
        "backends.small.hidden_at: is the absolute folder",
    ),
    (
        backend("hidden = 'pooling'\nhidden_at = 'ftp://x'"),
        "backends.small.hidden_at: wants http://HOST:PORT",
    ),
    (
        backend("hidden = 'connector'\nhidden_at = '/x'\nhidden_wait_ms = 51"),
        "hidden_wait_ms: wants a number of milliseconds above 0 and at most 50, got 51",
    ),
    # service
    (
        GOOD + "[[modes]]\nmode = 'observe'\n[[modes]] #!\nmode = 'apply'\ntenant = 'a'\n",
        "modes[1]: can never match",
    ),
    (GOOD + "[[modes]] #!\nmode = 'apply'\nshare = 0\n", "modes[0]: share = 0 matches nothing"),
    (GOOD + "[server]\nlisten = '50051' #!\n", "server.listen: wants HOST:PORT", "got '50051'"),
    (
        GOOD + "[server]\nlisten = 'http://127.0.0.1:1' #!\n",
        "server.listen: wants HOST:PORT without a scheme",
    ),
    (
        GOOD + "[server]\nlisten = '127.0.0.1:70000' #!\n",
        "server.listen: wants HOST:PORT with a port from 0 to 65535",
    ),
    (
        GOOD + "[server]\nlisten = '0.0.0.0:50051' #!\n",
        "server.listen: '0.0.0.0:50051' can be reached",
        "allow_remote",
    ),
    (
        GOOD + "[server]\nadmin_listen = '127.0.0.1:50051' #!\n",
        "server.admin_listen:",
        "the address of listen",
    ),
    (
        GOOD + "[server]\nhttp_listen = '0.0.0.0:8080' #!\n",
        "server.http_listen: '0.0.0.0:8080' can be reached",
    ),
    (top("bundle = 'nowhere'"), "bundle: there is no folder", "apportion fit"),
    (GOOD + "[store]\nsqlite = 'no/where.db' #!\n", "store.sqlite: there is no folder"),
    (GOOD + "[store]\nsqlite = '' #!\n", "store.sqlite: wants a file"),
    # not TOML at all
    ("mode = 'apply'\nmode = 'observe' #!\n" + GOOD, "is not TOML: cannot overwrite a value"),
    ("[budget]\ndollars = 5\n[[budget]] #!\ntenant = 'web'\n", "[[budgets]] are its accounts"),
    ("a = [1, 2 #!", "is not TOML: "),
]


@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for text, *words in WRONG], ids=[row[1] for row in WRONG]
)
def test_a_wrong_backend_or_setting_is_named_with_its_line(refused, text, words):
    said = refused(text)
    assert [word for word in words if word not in said] == []


def test_a_bundle_of_another_version_is_named_with_its_line(refused, tmp_path):
    (tmp_path / "bundle").mkdir()
    said = refused(top("bundle = 'bundle'"))
    assert "bundle: " in said and "card.json" in said
    (tmp_path / "bundle" / "card.json").write_text('{"format": 99}')
    said = refused(top("bundle = 'bundle'"))
    assert "card.json has format 99; this version reads 2 and 3; make a new one with `apportion fit`" in said
