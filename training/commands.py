"""What training can do on the command line. To add a command, write its function and give it a line in `COMMANDS`.

A command is a function with typer's annotations; the first line of its docstring is its line in `apportion --help`.
Nothing is imported until it is run; a command whose module is not there is not listed.
"""

from __future__ import annotations

from training.errors import TrainingError

COMMANDS = {
    "collect": "training.collect.command:collect_command",
    "grade": "training.grade:grade",
    "import": "training.import_recording:import_recording",
    "export": "training.export:export",
    "fit": "training.fit.command:fit",
    "replay": "training.replay:replay",
    "evaluate": "training.evaluate:evaluate",
    "benchmark": "training.benchmark:benchmark",
    "simulate": "training.simulate:simulate",
    "cycle": "training.cycle_command:cycle",
    "explain": "training.explain:explain",
    "report": "training.report.command:report",
    "demo": "training.demo:demo",
    "demo-loop": "training.loop_demo.command:demo_loop",
    "demo-vllm": "training.live_demo.command:demo_vllm",
}
ERRORS: tuple[type[Exception], ...] = (TrainingError,)
