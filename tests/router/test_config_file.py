"""What is wrong with a router.toml is said with its line, its key, its value and the choices.

Each row is a file with one mistake; the line that must be named ends in `#!`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from router import config
from router.config_bounds import BOUNDS
from router.config_file import examine, load
from router.errors import ConfigError

SMALL = '[backends.small]\nurls = ["http://127.0.0.1:1"]\nmodel = "m"\n'
ONE = '[[plans]]\nname = "one"\nstages = [{ backend = "small" }]\n'
GOOD = SMALL + ONE


def stage(text: str) -> str:
    return f'{SMALL}[[plans]]\nname = "one"\nstages = [\n  {{ backend = "small", {text} }}, #!\n]\n'


def first_of_two(text: str) -> str:
    return stage(text).removesuffix("]\n") + '  { backend = "small", temperature = 0.5 },\n]\n'


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
    # plug-ins
    (
        stage("stop = 'agrement'"),
        "stages[0].stop: unknown stopping rule 'agrement'",
        "choose from agreement, any_of",
        "did you mean 'agreement'?",
    ),
    (stage("stop = { needed = 2 }"), "stages[0].stop: wants kind = one of agreement,"),
    (
        stage("stop = { kind = 'agreement', need = 2 }"),
        "stop.need: unknown option of agreement 'need'",
        "'needed'?",
    ),
    (stage("stop = { kind = 'never', at = 2 }"), "stop.at: unknown option of never 'at'; it has no options"),
    (stage("stop = { kind = 'agreement', needed = 0 }"), "stop.needed: needed must be at least 1, got 0"),
    (stage("stop = { kind = 'agreement', needed = 'two' }"), "stop.needed: wants a whole number, got 'two'"),
    (stage("stop = { kind = 'any_of', rules = ['nevr'] }"), "stop.rules[0]: unknown stopping rule 'nevr'"),
    (
        stage("stop = { kind = 'any_of', rules = 'never' }"),
        "stop.rules: wants a list of stopping rules, got 'never'",
    ),
    (
        stage("stop = { kind = 'any_of', rules = [{ kind = 'token_cap', tokens = -1 }] }"),
        "rules[0].tokens:",
        "-1",
    ),
    (stage("stop = 'any_of'"), "stages[0].stop: any_of without rules does nothing"),
    (
        stage("select = 'mayority'"),
        "stages[0].select: unknown selector 'mayority'",
        "did you mean 'majority'?",
    ),
    (stage("verifier = 'exakt'"), "stages[0].verifier: unknown verifier 'exakt'", "did you mean 'exact'?"),
    (stage("verifier = 'exact'"), "stages[0].verifier: this verifier needs gold"),
    (stage("verifier = 'agrees'"), "stages[0].verifier: this verifier needs references"),
    (stage("prompt = 'reason'"), "stages[0].prompt: unknown prompt 'reason'; there are none"),
    (top("policy = 'utilty'"), "policy: unknown policy 'utilty'", "did you mean 'utility'?"),
    (top("policy = { kind = 'softmax', floor = 2.0 }"), "policy.floor: floor must lie in [0, 1], got 2.0"),
    (top("policy = 'fixed'"), "policy: fixed names no plan in 'plan'; choose from one"),
    (top("policy = { kind = 'fixed', plan = 'two' }"), "policy.plan: unknown plan 'two'; choose from one"),
    (
        top("policy = { kind = 'threshold', then = 'one', otherwise = 'one' }"),
        "policy: threshold names no signal",
    ),
    (
        top("policy = { kind = 'threshold', then = 'one', otherwise = 'one', signal = 'p_correct/big' }"),
        "policy.signal: unknown backend in signal 'p_correct/big'",
        "choose from small",
    ),
    (top("answers = 'nuber'"), "answers: unknown answer kind 'nuber'", "did you mean 'number'?"),
    (GOOD + "[answers_by_task]\nmaths = 'mat' #!\n", "answers_by_task.maths: unknown answer kind 'mat'"),
    # impossible plans
    ("#!\n" + "plans = []\n" + SMALL, "there are no plans"),
    (SMALL + "[[plans]] #!\nname = 'a'\nstages = []\n", "plans[0]: stages is empty"),
    (
        SMALL + "[[plans]]\nname = 'a'\nstages = [{ backend = 'smal' }] #!\n",
        "unknown backend 'smal'",
        "'small'?",
    ),
    (
        SMALL
        + ONE
        + "[[plans]]\nname = 'one' #!\nstages = [{ backend = 'small', width = 1, max_tokens = 9 }]\n",
        "plans[1].name: two plans are named 'one'",
    ),
    (
        SMALL + ONE + "[[plans]] #!\nname = 'two'\nstages = [{ backend = 'small', max_samples = 1 }]\n",
        "plans[1]: plan 'two' does exactly what plan 'one' does",
    ),
    (
        SMALL + "[[plans]]\nname = ' ' #!\nstages = [{ backend = 'small' }]\n",
        "plans[0].name: a plan's name is",
    ),
    (top("reference = 'two'"), "reference: unknown plan 'two'; choose from one"),
    (top("untrained = 'on'"), "untrained: unknown plan 'on'; choose from one (did you mean 'one'?)"),
    (
        "#!\n" + SMALL + "[[plans]]\nname = 'vote'\nstages = [{ backend = 'small', max_samples = 3 }]\n",
        "say which plan is the reference",
        "choose from vote",
    ),
    (
        first_of_two("stop = { kind = 'token_cap', tokens = 1 }"),
        "stop: always ends the plan",
        "never be reached",
    ),
    (stage("gate = { signal = 'p_correct/small', at_least = 1.5 }"), "gate: never opens", "never be reached"),
    (stage("gate = { signal = 'novelty', at_least = 0.5, below = 0.5 }"), "gate: never opens"),
    (stage("gate = { signal = 'novelty' }"), "gate: has neither at_least nor below"),
    (stage("gate = { at_least = 0.5 }"), "gate: names no signal"),
    (
        stage("gate = { signal = 'novelty', atleast = 0.5, below = 0.9 }"),
        "gate.atleast: unknown key",
        "'at_least'?",
    ),
    (stage("gate = { signal = 'novelty', below = '50%' }"), "gate.below: wants a number, got '50%'"),
    (stage("gate = { signal = 'p_correct/big', below = 0.9 }"), "gate.signal: unknown backend in signal"),
    (stage("gate = { signal = 'plan_quality/big', below = 0.9 }"), "gate.signal: unknown plan in signal"),
    (stage("gate = { signal = 'gain/small/big', below = 0.9 }"), "gate.signal: unknown pair of backends"),
    (
        stage("stop = { kind = 'confident', signal = 'p_correct/big' }"),
        "stop.signal: unknown backend in signal",
    ),
    (
        stage("max_samples = 4, stop = 'majority_certificate'"),
        "stop: can never be satisfied by max_samples = 4",
        "at least 8 that agree",
    ),
    (
        stage("max_samples = 2, stop = { kind = 'agreement', needed = 3 }"),
        "can never be satisfied",
        "at least 3",
    ),
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
    (top("bundle = 'nowhere'"), "bundle: there is no folder", "apportion fit"),
    (GOOD + "[store]\nsqlite = 'no/where.db' #!\n", "store.sqlite: there is no folder"),
    (GOOD + "[store]\nsqlite = '' #!\n", "store.sqlite: wants a file"),
    # not TOML at all
    ("mode = 'apply'\nmode = 'observe' #!\n" + GOOD, "is not TOML: cannot overwrite a value"),
    ("a = [1, 2 #!", "is not TOML: "),
]


def line_of(text: str) -> int:
    return text[: text.index("#!")].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for text, *words in WRONG], ids=[row[1] for row in WRONG]
)
def test_a_mistake_is_named_with_its_line_and_key(text, words, tmp_path):
    file = tmp_path / "router.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, serving=True)
    said = str(caught.value)
    assert said.startswith(f"{file}:{line_of(text)}: ")
    assert "\n" not in said
    for word in words:
        assert word in said


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file(tmp_path):
    text = "mode = 'x' #!\n" + GOOD.replace("small", "smal", 1) + "[budget]\ndollars = 'ten'\n"
    (tmp_path / "router.toml").write_text(text)
    lines = [problem.line for problem in examine(tmp_path / "router.toml").problems]
    assert lines == [1, 7, 9]


def test_a_file_without_backends_says_so_and_names_the_stage_that_wants_one(tmp_path):
    (tmp_path / "router.toml").write_text("backends = {}\n" + ONE)
    said = [problem.text for problem in examine(tmp_path / "router.toml").problems]
    assert said[0].startswith("there are no backends")
    assert said[1:] == ["unknown backend 'small'; there are none"]


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.toml: cannot be read: No such file"):
        load(tmp_path / "nothing.toml")


def test_broken_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "router.toml").write_bytes(b"mode = 'apply'\nreference = '\xff'\n")
    with pytest.raises(ConfigError, match=r"router\.toml:2: is not UTF-8: byte 0xff"):
        load(tmp_path / "router.toml")


def test_a_good_file_has_the_defaults_where_it_says_nothing(tmp_path):
    (tmp_path / "router.toml").write_text(GOOD)
    read = load(tmp_path / "router.toml")
    assert read.backends["small"].timeout_s == 120.0
    assert read.mode == "apply"
    assert read.plans[0].stages[0].stop == "never"


def test_whole_numbers_are_taken_where_fractions_may_stand(tmp_path):
    (tmp_path / "router.toml").write_text(backend("price_in = 1"))
    price = load(tmp_path / "router.toml").backends["small"].price_in
    assert (price, type(price)) == (1.0, float)


def test_training_may_read_a_file_whose_bundle_is_not_made_yet(tmp_path):
    (tmp_path / "router.toml").write_text('bundle = "later"\n' + GOOD)
    assert load(tmp_path / "router.toml").bundle == "later"


def test_windows_line_ends_are_read(tmp_path):
    (tmp_path / "router.toml").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load(tmp_path / "router.toml").plans[0].name == "one"


def test_the_example_at_the_root_is_a_good_file():
    example = Path(__file__).parents[2] / "router.example.toml"
    assert [str(problem) for problem in examine(example).problems] == []
    assert [plan.name for plan in load(example).plans] == [
        "small",
        "small-vote",
        "cascade",
        "large",
        "large-vote",
    ]


@pytest.mark.parametrize(
    "section", [kind for kind in vars(config).values() if isinstance(kind, type(msgspec.Struct))]
)
def test_every_number_of_the_configuration_has_a_range(section):
    numbers = [
        field.name
        for field in msgspec.structs.fields(section)
        if field.type in {int, float, int | None, float | None}
    ]
    assert [name for name in numbers if (section, name) not in BOUNDS] == []
