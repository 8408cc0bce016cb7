"""What the stub server says: a recording's samples, the lines of a script, or made-up words.

Always the same for the same prompt and seed.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import msgspec

from router.backends.timeline import pieces
from router.errors import ConfigError, UnknownName
from router.recording import Recording
from router.recordings.cost import FIRST_TOKEN_S, TOKENS_PER_S

WORD = re.compile(r"\s*\w+|\s*[^\w\s]|\s+\Z")
MEAN_LOGPROB = -0.3  # nats per token, where none was recorded
WORDS = (
    "so",
    "first",
    "we",
    "take",
    "the",
    "number",
    "and",
    "then",
    "add",
    "what",
    "is",
    "left",
    "over",
    "which",
)


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: a piece of text or thought, or of the tool call number `tool`."""

    kind: str  # text | thought | tool_name | tool_arguments
    text: str
    tool: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One choice, whole. Times are in seconds at pace 1."""

    tokens: tuple[Token, ...]
    tokens_in: int
    finish_reason: str = "stop"
    mean_logprob: float = MEAN_LOGPROB
    first_token_s: float = FIRST_TOKEN_S
    token_s: float = 1.0 / TOKENS_PER_S


class Texts(Protocol):
    """A source of replies."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names that a request may ask for; at least one."""
        ...

    def reply(self, model: str, prompt: str, question: str, seed: int) -> Reply:
        """The reply to a prompt whose last user turn is `question`. Raises `UnknownName` where it has none."""
        ...


def words(text: str) -> list[str]:
    """The stub's own tokens: words and marks with the white space before them; they join to the text."""
    return WORD.findall(text)


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Words without meaning that end in an answer: the same for 7 of 10 seeds, so that votes have something to find."""

    models: tuple[str, ...] = ("stub",)

    def reply(self, model: str, prompt: str, question: str, seed: int) -> Reply:
        """See `Texts`; 5 to about 60 tokens."""
        digest = blake2b(f"{model}\n{prompt}".encode("utf-8", "replace"), digest_size=8).digest()
        of_prompt = random.Random(int.from_bytes(digest))
        of_sample = random.Random(int.from_bytes(digest) ^ seed)
        usual = of_prompt.randrange(100)
        answer = usual if of_sample.random() < 0.7 else of_sample.randrange(100)
        said = " ".join(of_sample.choice(WORDS) for _ in range(int(of_sample.expovariate(1 / 12.0)) % 56))
        tokens = tuple(Token("text", word) for word in words(f"{said} The answer is {answer}.".strip()))
        return Reply(tokens, len(words(prompt)))


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A sentence that says so, for texts that a recording does not hold; its answer is the one of `MadeUp`."""

    models: tuple[str, ...]

    def reply(self, model: str, prompt: str, question: str, seed: int) -> Reply:
        """See `Texts`; 17 tokens or so."""
        made_up = MadeUp(self.models).reply(model, prompt, question, seed)
        answer = next(token.text for token in reversed(made_up.tokens) if token.text.strip().isdigit())
        said = f"This text is not in the recording, so this is made up. The answer is{answer}."
        return Reply(tuple(Token("text", word) for word in words(said)), made_up.tokens_in)


class ScriptedTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call of a script's line; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


class ScriptLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One JSON line of a script. Of the lines whose `match` is part of the prompt the seed chooses one."""

    text: str = ""
    match: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedTool, ...] = ()
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """Replies from a file: a JSON object (see `ScriptLine`) or plain text on every line."""

    lines: tuple[ScriptLine, ...]
    models: tuple[str, ...] = ("stub",)

    @classmethod
    def read(cls, path: Path, models: tuple[str, ...]) -> Script:
        """Raises `ConfigError` that names the line."""
        lines = []
        for number, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
            try:
                if text.startswith("{"):
                    lines.append(msgspec.json.decode(text, type=ScriptLine))
                elif text.strip():
                    lines.append(ScriptLine(text=text))
            except msgspec.MsgspecError as error:
                raise ConfigError(f"{path}:{number}: {error}") from error
        if not lines:
            raise ConfigError(f"{path}: the script is empty")
        return cls(tuple(lines), models)

    def reply(self, model: str, prompt: str, question: str, seed: int) -> Reply:
        """See `Texts`."""
        fitting = [line for line in self.lines if line.match in prompt]
        if not fitting:
            raise UnknownName("prompt of the script", question[:100])
        line = fitting[seed % len(fitting)]
        tokens = [Token("thought", word) for word in words(line.reasoning)]
        tokens += [Token("text", word) for word in words(line.text)]
        for place, tool in enumerate(line.tool_calls):
            tokens.append(Token("tool_name", tool.name, place))
            tokens += [Token("tool_arguments", word, place) for word in words(tool.arguments)]
        reason = line.finish_reason or ("tool_calls" if line.tool_calls else "stop")
        return Reply(tuple(tokens), len(words(prompt)), reason)


class Played:
    """A recording: the model is a backend of it, the question a query's exact text, the seed chooses the sample.

    Consecutive seeds choose different samples until all were given. `models`: those of them that are served, default
    all; `otherwise`: what answers questions that are not in the recording.
    """

    def __init__(
        self, recording: Recording, models: tuple[str, ...] = (), otherwise: Texts | None = None
    ) -> None:
        unknown = [model for model in models if model not in recording.backends]
        if unknown:
            raise UnknownName("backend of the recording", unknown[0], recording.backends)
        self.models = models or recording.backends
        self._recording = recording
        self._otherwise = otherwise

    def reply(self, model: str, prompt: str, question: str, seed: int) -> Reply:
        """See `Texts`."""
        places = self._recording.queries_with_text(question)
        if not places and self._otherwise is not None:
            return self._otherwise.reply(model, prompt, question, seed)
        if not places:
            raise UnknownName("query of the recording", question[:100])
        rows = self._recording.rows(places[0], model)
        if rows.start == rows.stop:
            raise UnknownName(
                f"sample of {model!r} for the query", self._recording.queries[places[0]].query_id
            )
        sample = self._recording.sample(rows.start + seed % (rows.stop - rows.start))
        text = sample.text if sample.text is not None else sample.answer or ""
        count = max(1, round(sample.tokens_out))
        return Reply(
            tokens=tuple(Token("text", piece) for piece in pieces(text, count)),
            tokens_in=max(1, round(sample.tokens_in)),
            finish_reason=sample.finish_reason or "stop",
            mean_logprob=MEAN_LOGPROB if sample.mean_logprob is None else sample.mean_logprob,
            first_token_s=sample.first_token_s,
            token_s=max(0.0, sample.latency_s - sample.first_token_s) / count,
        )
