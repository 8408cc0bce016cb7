"""A file with one mistake, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.configuration.file import load
from router.errors import ConfigError


@pytest.fixture
def refused(tmp_path) -> Callable[[str], str]:
    """What is wrong with a file, after its place: one problem, on the line that ends in `#!`."""

    def said(text: str) -> str:
        file = tmp_path / "router.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(file, serving=True)
        place = f"{file}:{text[: text.index('#!')].count(chr(10)) + 1}: "
        message = str(caught.value)
        assert message.startswith(place)
        assert "\n" not in message
        return message.removeprefix(place)

    return said
