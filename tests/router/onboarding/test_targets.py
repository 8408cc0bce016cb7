"""Backends and their options as the command line writes them."""

from __future__ import annotations

import pytest

from router.errors import ConfigError
from router.onboarding.target import read_targets

A, B = "a=http://h:1", "b=https://h:2#org/model"


def test_a_url_and_a_model_are_read():
    a, b = read_targets([A + "/v1/", B])
    assert (a.name, a.url, a.config.model) == ("a", "http://h:1", "")
    assert (b.name, b.url, b.config.model) == ("b", "https://h:2", "org/model")


def test_an_option_is_for_all_and_one_with_a_name_for_that_one_in_whatever_order():
    for dollars in (["b=4", "1.5"], ["1.5", "b=4"]):
        a, b = read_targets([A, B], dollars=dollars)
        assert (a.dollars_per_hour, b.dollars_per_hour) == (1.5, 4.0)


def test_the_way_to_a_server_is_part_of_its_section(tmp_path):
    (tmp_path / "ca.pem").write_text("x")
    _, b = read_targets(
        [A, B],
        keys=["KEY"],
        ca_files=[f"b={tmp_path / 'ca.pem'}"],
        proxies=["b=http://p:1"],
        proxy_logins=["b=LOGIN"],
    )
    way = b.config
    assert (way.api_key_env, way.ca_file) == ("KEY", str(tmp_path / "ca.pem"))
    assert (way.proxy, way.proxy_auth_env) == ("http://p:1", "LOGIN")


WRONG = [
    ([], {}, "--backend: name at least one server"),
    (["http://h:1"], {}, "wants NAME=http://HOST:PORT or NAME=URL#MODEL, got 'http://h:1'"),
    (["a=h:1"], {}, "--backend a: wants http://HOST:PORT or https://HOST:PORT, got 'h:1'"),
    (["a=http://h:99999"], {}, "--backend a: Port out of range"),
    (["a=http://me:secret@h:1"], {}, "--backend a: the url holds a password; name the variable"),
    ([A, A], {}, "two backends are named 'a'"),
    ([A], {"dollars": ["c=1"]}, "--gpu-dollars-per-hour: unknown backend 'c'; choose from a"),
    ([A], {"dollars": ["cheap"]}, "--gpu-dollars-per-hour: wants dollars per hour, above 0, got 'cheap'"),
    ([A], {"dollars": ["0"]}, "above 0, got '0'"),
    ([A], {"dollars": ["nan"]}, "above 0, got 'nan'"),
    ([A], {"ca_files": ["/no/such.pem"]}, "--ca-file: there is no file '/no/such.pem'"),
    ([A], {"proxies": ["p:3128"]}, "--proxy: wants http://HOST:PORT or https://HOST:PORT, got 'p:3128'"),
]


@pytest.mark.parametrize(("backends", "options", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_is_said_with_the_option_and_the_value(backends, options, message):
    with pytest.raises(ConfigError) as caught:
        read_targets(backends, **options)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
