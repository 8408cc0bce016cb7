"""The file of tokens: what it may hold, and how it is followed while the service runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.auth.followed import LOOK_S
from router.auth.guard import Guard, own_tenant
from router.auth.identity import Identity, Role
from router.auth.tokens import entry_text, hash_of, new_token, read_tokens
from router.errors import ConfigError, Forbidden, Unauthenticated


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path) -> Path:
    path: Path = tmp_path / "tokens.toml"
    path.write_text(
        entry("one", "a") + entry("boss", "ops", "operator") + entry("old", "a", until="2020-01-01")
    )
    return path


def entry(token: str, tenant: str, role: str = "caller", until: str = "") -> str:
    return entry_text(hash_of(token), tenant, role, until)


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def test_a_token_stands_for_its_tenant_and_role(file, clock):
    guard = Guard(file, clock, clock)
    assert guard.caller("Bearer one") == Identity("a", Role.CALLER)
    assert guard.caller("bearer  boss ") == Identity("ops", Role.OPERATOR)
    guard.operator("Bearer boss")


@pytest.mark.parametrize(
    "said", ["", "one", "Bearer", "Bearer ", "Basic one", "Bearer two", "Bearer old", "Bearer " + "x" * 9999]
)
def test_whatever_else_is_said_nobody_comes_in(file, clock, said):
    with pytest.raises(Unauthenticated):
        Guard(file, clock, clock).caller(said)


def test_a_caller_is_no_operator(file, clock):
    with pytest.raises(Forbidden):
        Guard(file, clock, clock).operator("Bearer one")


def test_without_a_file_everybody_is_let_in_as_nobody_in_particular(clock):
    guard = Guard(None, clock, clock)
    assert guard.caller("") is None
    guard.operator("")
    assert not guard.on


def test_a_token_that_is_taken_out_of_the_file_ends_without_a_restart(file, clock):
    guard = Guard(file, clock, clock)
    write(file, entry("two", "b"))
    clock.now += LOOK_S
    assert guard.caller("Bearer two") == Identity("b")
    with pytest.raises(Unauthenticated):
        guard.caller("Bearer one")


@pytest.mark.parametrize("spoilt", ["[[tokens]", "[[tokens]]\nsha256 = 3", None])
def test_a_file_that_was_spoilt_changes_nothing(file, clock, spoilt):
    guard = Guard(file, clock, clock)
    if spoilt is None:
        file.unlink()
    else:
        write(file, spoilt)
    clock.now += LOOK_S
    assert guard.caller("Bearer one") == Identity("a")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[tokens]]\nsha256 = "abc"\ntenant = "a"', "64 hex digits"),
        (entry("one", "a") + entry("one", "b"), "stands twice"),
        (f'[[tokens]]\nsha256 = "{hash_of("x")}"\ntenant = ""', "1 to 128 bytes"),
        (f'[[tokens]]\nsha256 = "{hash_of("x")}"\ntenant = "a"\nuntil = "soon"', "until wants"),
        (f'[[tokens]]\nsha256 = "{hash_of("x")}"\ntenant = "a"\nrole = "king"', "king"),
        (f'[[tokens]]\nsha256 = "{hash_of("x")}"\ntenant = "a"\ncolour = "red"', "colour"),
        ("[[tokens", "tokens.toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_the_start_and_says_why(file, text, problem):
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        Guard(file)


def test_the_file_never_holds_a_token_and_no_two_tokens_are_alike(tmp_path):
    made = {new_token() for _ in range(50)}
    assert len(made) == 50
    path = tmp_path / "tokens.toml"
    path.write_text("".join(entry(token, "a") for token in made))
    assert len(read_tokens(path)) == 50
    assert not [token for token in made if token in path.read_text()]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_a_file_or_a_configuration_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "tokens.toml"
    path.write_bytes(data)
    try:
        found = read_tokens(path)
    except ConfigError:
        return
    assert all(len(digest) == 64 for digest in found)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_no_header_that_anybody_makes_up_lets_them_in(said):
    guard = Guard(None)
    guard._path = Path("tokens.toml")
    guard._look_at = float("inf")
    with pytest.raises(Unauthenticated):
        guard.caller(said)


def test_a_caller_may_name_itself_or_nobody(clock):
    me = Identity("a")
    assert (own_tenant("", me), own_tenant("a", me), own_tenant("b", None)) == ("a", "a", "b")
    with pytest.raises(Forbidden):
        own_tenant("b", me)
