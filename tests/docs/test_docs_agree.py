"""The pages and the code agree: no command, flag, key, metric, name or link that is not there, and none left out."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from router.__main__ import commands
from router.command_group import load_command
from router.config import Config
from router.configuration.file import load
from router.policies import POLICIES
from router.selectors import SELECTORS
from router.stopping import STOPPING_RULES
from router.telemetry.catalogue import CATALOGUE
from router.v1 import apportion_router_pb2 as pb
from router.verifiers import VERIFIERS
from training.suites import SUITES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "router" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WRITTEN = [page for page in PAGES if not page.name.startswith("reference-")]
ALL = [*WRITTEN, ROOT / "README.md", ROOT / "k8s" / "README.md", ROOT / "k8s" / "grafana" / "README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    place = ROOT / ".ci" / "write_reference.py"
    spec = importlib.util.spec_from_file_location("write_reference", place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_the_references_are_those_of_the_code(generated):
    """`make reference` writes them: every key, command, flag, metric, call, field and plug-in that the code has."""
    assert {page.name for page in PAGES} - {page.name for page in WRITTEN} == set(generated)
    for name, text in generated.items():
        assert (DOCS / name).read_text() == text, f"{name} is old: make reference"


@cache
def flags(command: str) -> frozenset[str]:
    """Of a command, without importing what it runs twice."""
    lazy: Any = commands().commands[command]
    found: Any = load_command(command, lazy.target)
    return frozenset(flag for one in found.params for flag in (*one.opts, *one.secondary_opts))


def said_commands(text: str) -> list[list[str]]:
    """Everything that begins with `apportion`, in blocks and in running text, as words."""
    shell = "\n".join(body for kind, body in BLOCK.findall(text) if kind in ("sh", "text"))
    inline = "\n".join(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)))
    joined = re.sub(r"\$\(date [^)]*\)", "NOW", (shell + "\n" + inline).replace("\\\n", " "))
    found = []
    for line in re.findall(r"(?:^|[$(|;]\s*)(apportion +[a-z].*)$", joined, re.MULTILINE):
        try:
            words = shlex.split(re.split(r"[|;&>)]", line)[0], comments=True)
        except ValueError:
            words = line.split()
        found.append(words)
    return found


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_command_and_flag_that_is_named_is_there(page):
    for _, command, *rest in said_commands(page.read_text()):
        assert command in commands().commands, f"{page.name}: apportion {command}"
        for word in rest:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in flags(command), f"{page.name}: apportion {command} {word}"


def test_the_finder_of_commands_finds():
    assert said_commands("```sh\nx=$(apportion decisions --count 1)\n```\n") == [
        ["apportion", "decisions", "--count", "1"]
    ]
    assert said_commands("say `apportion mode bypass`.") == [["apportion", "mode", "bypass"]]
    assert sum(len(said_commands(page.read_text())) for page in WRITTEN) > 60


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_metric_that_is_named_is_there(page):
    named = set(re.findall(r"\bapportion_[a-z_]+[a-z]\b", page.read_text())) - {"apportion_router"}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= set(CATALOGUE)


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_make_target_that_is_named_is_there(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(
        [
            *re.findall(r"`([^`\n]+)`", page.read_text()),
            *(body for _, body in BLOCK.findall(page.read_text())),
        ]
    )
    assert set(re.findall(r"(?:^|\s|&& )make ([a-z][a-z-]*)", text, re.MULTILINE)) <= targets


def keys_of(kind: Any) -> set[str]:
    return set(kind.__struct_fields__)


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_key_of_router_toml_that_is_named_is_there(page):
    """`[section] key` and `section.key` in running text."""
    text = BLOCK.sub("", page.read_text())
    sections = {
        name: getattr(Config(backends={}, plans=()), name)
        for name in ("budget", "server", "store", "metrics", "shadow", "rewards")
    }
    for name, section in sections.items():
        for key in re.findall(rf"\[{name}\] ([a-z_]+)\b", text) + re.findall(
            rf"\b{name}\.([a-z_]+)\b(?!\w*\.)", text
        ):
            if key not in ("md", "py", "toml", "db"):
                assert key in keys_of(type(section)), f"{page.name}: {name}.{key}"


def toml_blocks() -> list[Any]:
    return [
        pytest.param(body, id=f"{page.name}-{number}")
        for page in WRITTEN
        for number, (kind, body) in enumerate(BLOCK.findall(page.read_text()))
        if kind == "toml" and '"ahead"' not in body
    ]


@pytest.mark.parametrize("change", toml_blocks())
def test_every_piece_of_router_toml_fits_into_the_example(change, edit, tmp_path):
    (tmp_path / "router.toml").write_text(edit((ROOT / "router.example.toml").read_text(), change))
    assert load(tmp_path / "router.toml", serving=False).plans


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_link_and_picture_is_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text()
    assert all(f"({page.name})" in index for page in PAGES if page.name != "README.md")


def test_every_method_stands_under_a_name_that_the_code_has():
    tables = {
        "rule": STOPPING_RULES,
        "selector": SELECTORS,
        "policy": POLICIES,
        "verifier": VERIFIERS,
        "suite": SUITES,
    }
    text = (DOCS / "methods.md").read_text()
    count = 0
    for kind, table in tables.items():
        for names in re.findall(rf"\b{kind}s? ((?:`\w+`(?:, | and )?)+)", text):
            for name in re.findall(r"`(\w+)`", names):
                count += 1
                assert name in table, f"{kind} {name}"
    assert count > 25


def test_every_grpcurl_names_calls_and_fields_of_the_wire():
    text = (DOCS / "examples.md").read_text().replace("\\\n", " ")
    found = re.findall(
        r"grpcurl -plaintext (?:-d '(\{.*?\})'\s+)?\S+ apportion\.router\.v1\.(\w+)/(\w+)", text
    )
    assert len(found) >= 3
    for body, service, call in found:
        method = pb.DESCRIPTOR.services_by_name[service].methods_by_name[call]
        json_format.Parse(body or "{}", GetMessageClass(method.input_type)())


def test_the_console_s_page_names_its_pages():
    listed = re.findall(r"^\| (\w+) \|", (DOCS / "console.md").read_text(), re.MULTILINE)[1:]
    titles = [
        re.findall(r'export const title = "(\w+)"', path.read_text())[0]
        for path in (ROOT / "router" / "console").glob("page_*.js")
    ]
    assert sorted(listed) == sorted(title for title in titles if title != "Decision")


@pytest.mark.timeout(300)
def test_the_stopping_rule_of_the_page_is_one_file_and_one_line(tmp_path):
    """Carried out in a copy: the contract tests take it, and a plan may name it."""
    text = (DOCS / "write-a-stopping-rule.md").read_text()
    (code, line) = (body for kind, body in BLOCK.findall(text) if kind == "python")
    (toml,) = (body for kind, body in BLOCK.findall(text) if kind == "toml")
    for folder in ("predictors", "router", "tests/contracts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "router" / "stopping" / "ahead.py").write_text(code)
    door = tmp_path / "router" / "stopping" / "__init__.py"
    door.write_text(door.read_text().replace("STOPPING_RULES = {\n", "STOPPING_RULES = {\n" + line))
    (tmp_path / "router.toml").write_text((ROOT / "router.example.toml").read_text() + toml)
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    contract = [
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-k",
        "ahead",
        "tests/contracts/test_stopping_contract.py",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", *contract], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert "passed" in ran.stdout
    load_it = "from pathlib import Path; from router.configuration.file import load; print(load(Path('router.toml')).plans[-1].name)"
    ran = subprocess.run(
        [sys.executable, "-c", load_it], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "vote-until-ahead", ran.stderr[-2000:]
