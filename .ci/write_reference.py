"""Write the reference pages of router/docs from the code: configuration, commands, metrics, API, plug-ins.

`python .ci/write_reference.py` writes them; a test compares what is written with what would be.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "router" / "docs"
MADE = "<!-- Written by `make reference` from the code; do not edit. -->\n\n"


def configuration() -> str:
    """Every key of router.toml, from router/config*.py: its type, default and comment."""
    text = "# Configuration: every key of router.toml\n\n" + MADE
    text += "Unknown keys are errors. Money is in $ per 1M tokens unless a key says otherwise, times are in seconds,\n"
    text += "shares from 0 to 1.\n"
    sections = [
        (node, comments)
        for name in ("config.py", "config_access.py")
        for source in [(ROOT / "router" / name).read_text()]
        for comments in [_comments(source)]
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Section" for base in node.bases)
    ]
    for section, comments in sorted(sections, key=lambda found: found[0].name != "Config"):
        text += f"\n## {_title(section)}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
        before = section.body[0].end_lineno or section.lineno
        for field in section.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = " ".join(
                    comments[line]
                    for line in range(before + 1, (field.end_lineno or 0) + 1)
                    if line in comments
                )
                default = ast.unparse(field.value) if field.value else "required"
                text += f"| `{field.target.id}` | {_type(field.annotation)} | {_default(default)} | {_cell(said)} |\n"
                before = field.end_lineno or before
    return text


def _comments(source: str) -> dict[int, str]:
    """Line -> comment."""
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _title(section: ast.ClassDef) -> str:
    return (ast.get_docstring(section) or section.name).rstrip(".")


def _type(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    if found := re.fullmatch(r"Literal\[(.*)\]", text):
        return " \\| ".join(f"`{one.strip()[1:-1]}`" for one in found[1].split(","))
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    for name, word in words.items():
        text = re.sub(rf"\b{name}\b", word, text)
    text = re.sub(r"tuple\[(.*), \.\.\.\]", r"list of \1", text).replace(" | None", "")
    text = re.sub(r"Mapping\[text, (.*)\]", r"table of \1", text).replace(" | ", " or ")
    return re.sub(r"\b(\w+)Config\b", r"\1 table", text).replace("Any", "any value")


def _default(text: str) -> str:
    if text in ("''", "None", "()", "{}") or text.endswith("Config()"):
        return ""
    return (
        text
        if text == "required"
        else f"`{text}`".replace("'", '"').replace("True", "true").replace("False", "false")
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def commands() -> str:
    """Every command with its arguments and options, from the command line itself."""
    from router.__main__ import commands as group
    from router.command_group import load_command

    text = "# Commands\n\n" + MADE + "`apportion COMMAND --help` says the same.\n"
    said = [_parameter(one) for one in group().params if one.name != "help"]
    text += "\nBefore every command:\n\n| | meaning |\n|---|---|\n" + "".join(said)
    for name, lazy in sorted(group().commands.items()):
        command: Any = load_command(name, lazy.target)
        text += f"\n## apportion {name}\n\n{_paragraphs(command.help or '')}\n"
        rows = [_parameter(one) for one in command.params if one.name != "help"]
        if rows:
            text += "\n| | meaning |\n|---|---|\n" + "".join(rows)
    return text


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _parameter(parameter: Any) -> str:
    said = " ".join((getattr(parameter, "help", "") or "").split())
    if parameter.param_type_name == "argument":
        return f"| `{parameter.name.upper()}` | {_cell(said)} |\n"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    kind = parameter.type_descriptor.annotation
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if choices:
        said += f" ({', '.join(f'`{one}`' for one in choices)})"
    default = parameter.default
    if default not in (None, False, (), "") and not callable(default) and not parameter.required:
        said += f" Default: `{str(getattr(default, 'value', default)).replace(f'{ROOT}/', '')}`."
    if parameter.envvar:
        said += f" Variable: `{parameter.envvar}`."
    return f"| {names}{' (required)' if parameter.required else ''} | {_cell(said.strip())} |\n"


def metrics() -> str:
    """Every metric, from the catalogue."""
    from router.telemetry.reference import reference

    return (
        "# Metrics\n\n"
        + MADE
        + "Off until `[metrics]` in router.toml says `listen` (a port of their own) or `on_door = true` (at the\n"
        + "OpenAI door); Prometheus then reads them at `/metrics`. `apportion metrics` prints this table.\n\n"
        + reference()
    )


def api() -> str:
    """Every call and message of the wire, from proto/."""
    source = (ROOT / "proto" / "router" / "v1" / "apportion_router.proto").read_text()
    text = "# API: the gRPC wire\n\n" + MADE + _rules(source)
    for kind, name, body in re.findall(
        r"^(service|enum|message) (\w+) \{(.*?)\n?\}$", source, re.DOTALL | re.MULTILINE
    ):
        text += f"\n## {kind} {name}\n\n"
        if kind == "service":
            text += "".join(_calls(body))
            continue
        rows = _fields(body)
        text += "| field | type | meaning |\n|---|---|---|\n" + "".join(rows) if rows else "No fields.\n"
    return text


def _calls(body: str) -> list[str]:
    pattern = r"((?:^  //.*\n)*)^  rpc (\w+)\((.*?)\) returns \((.*?)\);"
    found = []
    for comment, call, asked, told in re.findall(pattern, body, re.MULTILINE):
        said = " ".join(part.strip().lstrip("/ ") for part in comment.splitlines())
        found.append(f"* **{call}** (`{asked}`) → `{told}`. {said}".rstrip(". ") + ".\n")
    return found


def _rules(source: str) -> str:
    lines = [line.lstrip("/ ") for line in source[: source.index("syntax")].splitlines()]
    return " ".join(" ".join(lines).split()) + "\n"


def _fields(body: str) -> list[str]:
    rows, before, choice = [], "", ""
    for line in map(str.strip, body.splitlines()):
        if line.startswith("//"):
            before += line.lstrip("/ ") + " "
        elif line.startswith("oneof"):
            choice = f"one of `{line.split()[1]}`. "
        elif line == "}":
            choice = ""
        elif found := re.match(r"(?:([\w.<>, ]+?) )?(\w+) = (\d+);(?: // (.*))?$", line):
            said = f"{choice}{before}{found[4] or ''}".strip()
            rows.append(f"| `{found[2]}` | {found[1] or found[3]} | {_cell(said)} |\n".replace("<", "&lt;"))
            before = ""
    return rows


TABLES = {
    "Stopping rules": ("router.stopping", "STOPPING_RULES", "`stop` of a stage"),
    "Selectors": ("router.selectors", "SELECTORS", "`select` of a stage"),
    "Verifiers": ("router.verifiers", "VERIFIERS", "`verifier` of a stage, `apportion grade --verifier`"),
    "Policies": ("router.policies", "POLICIES", "`policy`"),
    "Backends": ("router.backends", "BACKENDS", "`kind` of a backend"),
    "Importers": ("training.importers", "IMPORTERS", "`apportion import`"),
}


def plugins() -> str:
    """Every plug-in by the first line of its module and its options, without importing what is heavy."""
    import importlib

    text = (
        "# Plug-ins by name\n\n"
        + MADE
        + 'Options are keys of the table that names it: `stop = { kind = "agreement", needed = 3 }`.\n'
    )
    for title, (module, table, where) in TABLES.items():
        text += f"\n## {title}\n\nFor {where}.\n\n| name | what it does | options |\n|---|---|---|\n"
        for name, target in sorted(getattr(importlib.import_module(module), table).items()):
            path, _, kind = target.partition(":")
            tree = ast.parse((ROOT / (path.replace(".", "/") + ".py")).read_text())
            said = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
            text += f"| `{name}` | {_cell(said)} | {_options(tree, kind)} |\n"
    return text


def _options(tree: ast.Module, kind: str) -> str:
    """Fields of a frozen dataclass with their defaults; none for what is built from a configuration's section."""
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind), None)
    if found is None or not any("dataclass" in ast.unparse(one) for one in found.decorator_list):
        return ""
    options = []
    fields = [field for field in found.body if "ClassVar" not in ast.unparse(field)]
    for field in fields:
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and not field.target.id.startswith("_")
        ):
            default = _written_default(field.value)
            options.append(f"`{field.target.id}`" + (f" = `{default}`" if default else ""))
    return _cell(", ".join(options))


def _written_default(value: ast.expr | None) -> str:
    """As it is written, also inside of `field(...)`; "" for none, or where it is made."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        value = next((one.value for one in value.keywords if one.arg == "default"), None)
    return ast.unparse(value) if value else ""


def pages() -> dict[str, str]:
    """Name of the file -> its text."""
    return {
        "reference-configuration.md": configuration(),
        "reference-commands.md": commands(),
        "reference-metrics.md": metrics(),
        "reference-api.md": api(),
        "reference-plugins.md": plugins(),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for name, text in pages().items():
        (DOCS / name).write_text(text)
        print(DOCS / name)
