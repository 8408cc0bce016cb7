"""What a server does when it is asked to: log-probabilities, several choices, tools, JSON schemas, thoughts.

One small request for each, of which the server generates at most `LONGEST` tokens. When it fails: a key that a server
ignores without a word is seen only where its effect is looked at (choices, log-probabilities, JSON), not for tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from router.backends.openai_probe import Answer, Probe
from router.errors import BackendError, BackendGarbled, BackendRefused, BackendTimeout
from router.onboarding.findings import Abilities

LONGEST = 48  # tokens
ALTERNATIVES = 20  # top_logprobs: what OpenAI's chat allows at most; P(yes) and P(no) want many
DOORS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
MARKERS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]", "<|channel|>analysis", "◁think▷")
QUESTION = "What is 2 + 3? Reply with the number only."
TOOL = {
    "type": "function",
    "function": {
        "name": "weather_now",
        "description": "The weather in a city at this moment.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "sum",
        "schema": {
            "type": "object",
            "properties": {"sum": {"type": "integer"}},
            "required": ["sum"],
            "additionalProperties": False,
        },
    },
}


def request(api: str, model: str, text: str, **more: Any) -> dict[str, Any]:
    """A body for either door."""
    asked: dict[str, Any] = {"model": model, "temperature": 0, **more}
    return asked | ({"messages": [{"role": "user", "content": text}]} if api == "chat" else {"prompt": text})


class Examination:
    """Asks for one ability after the other; `found` grows, `notes` says what could not be asked."""

    def __init__(self, probe: Probe, model: str, first_within_s: float, within_s: float) -> None:
        self.probe = probe
        self.model = model
        self.first_within_s = first_within_s  # of the plain question
        self.within_s = within_s  # of each of the others
        self.found: dict[str, Any] = {"refused": {}}
        self.notes: list[str] = []
        self._api = "chat"

    async def run(self, say: Callable[[str], None]) -> Abilities:
        """All of them. Raises `BackendError` where the server answers not even a plain request."""
        say("a short answer")
        await self._plain_answer()
        for what, examine in (
            ("log-probabilities", self._logprobs),
            ("several choices of one request", self._several),
            ("tools", self._tools),
            ("a JSON schema", self._schema),
        ):
            say(what)
            try:
                await examine()
            except BackendTimeout:
                self.notes.append(f"{what}: not measured: no reply in the time there was")
            except BackendError as error:
                self.notes.append(f"{what}: not measured: {error}")
        return Abilities(**self.found)

    async def _ask(self, text: str, within_s: float = 0.0, **more: Any) -> Answer:
        body = request(self._api, self.model, text, **more)
        return await self.probe.post(DOORS[self._api], body, within_s or self.within_s)

    async def _plain_answer(self) -> None:
        """Which door answers, where a thought goes, and whether the reply names hidden states."""
        said = await self._ask(QUESTION, self.first_within_s, max_tokens=LONGEST)
        if said.status in {400, 404, 405, 422, 501}:  # a base model has no chat template
            self._api = "completions"
            plain = await self._ask(QUESTION, self.first_within_s, max_tokens=LONGEST)
            if plain.status != 200:
                raise said.error(self.probe.who)
            said = plain
        self.found["api"] = self._api
        choice = _choices(self.probe.who, said)[0]
        message, text = _record(choice.get("message")), _text(choice).lstrip()
        if message.get("reasoning_content") or message.get("reasoning"):
            self.found["reasoning"] = "reasoning_content"
        else:
            self.found["reasoning"] = next((marker for marker in MARKERS if text.startswith(marker)), "")
        transfer = said.json().get("kv_transfer_params")
        self.found["hidden_states"] = isinstance(transfer, dict) and bool(transfer.get("hidden_states_path"))

    async def _logprobs(self) -> None:
        for count in (ALTERNATIVES, 5, 0):
            wanted: dict[str, Any] = {"logprobs": True, "top_logprobs": count}
            if self._api == "completions":
                wanted = {"logprobs": count}
            said = await self._ask(QUESTION, max_tokens=1, **wanted)
            if self._refuses(said, "logprobs"):
                continue
            given = _record(_choices(self.probe.who, said)[0].get("logprobs"))
            self.found["logprobs"] = bool(given.get("content") or given.get("token_logprobs"))
            self.found["top_logprobs"] = _alternatives(given)
            self.found["refused"].pop("logprobs", None)
            return
        self.found["logprobs"] = False

    async def _several(self) -> None:
        said = await self._ask(QUESTION, max_tokens=1, n=2, temperature=1)
        if self._refuses(said, "n"):
            self.found["several"] = False
        else:
            self.found["several"] = len(_choices(self.probe.who, said)) == 2

    async def _tools(self) -> None:
        if self._api == "completions":
            self.found["tools"] = False
            return
        said = await self._ask(
            "What is the weather in Rome? Use the tool.", max_tokens=LONGEST, tools=[TOOL], tool_choice="auto"
        )
        self.found["tools"] = not self._refuses(said, "tools")
        if self.found["tools"]:
            message = _record(_choices(self.probe.who, said)[0].get("message"))
            self.found["tool_called"] = bool(message.get("tool_calls"))

    async def _schema(self) -> None:
        said = await self._ask(
            "What is 2 + 3? Reply in JSON with the key sum.", max_tokens=LONGEST, response_format=SCHEMA
        )
        if self._refuses(said, "response_format"):
            self.found["response_format"] = False
            return
        choice = _choices(self.probe.who, said)[0]
        self.found["response_format"] = _obeys(_text(choice), str(choice.get("finish_reason")))

    def _refuses(self, said: Answer, what: str) -> bool:
        """Whether it calls the request invalid; every other failure is raised."""
        if said.status == 200:
            return False
        error = said.error(self.probe.who)
        if not isinstance(error, BackendRefused) and said.status not in {404, 501}:
            raise error
        self.found["refused"][what] = str(error).removeprefix(f"{self.probe.who}: ")
        return True


def _choices(who: str, said: Answer) -> list[dict[str, Any]]:
    if said.status != 200:
        raise said.error(who)
    document = said.json()
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(one, dict) for one in choices):
        what = "an HTML page" if said.is_page else "no choices"
        raise BackendGarbled(f"{who}: {what} instead of an answer")
    return choices


def _record(value: Any) -> dict[str, Any]:
    """The value where it is a JSON object; what a server sends may be anything."""
    return value if isinstance(value, dict) else {}


def _text(choice: Mapping[str, Any]) -> str:
    return str(_record(choice.get("message")).get("content") or choice.get("text") or "")


def _alternatives(given: Mapping[str, Any]) -> int:
    """How many alternatives the first token has."""
    content, top = given.get("content"), given.get("top_logprobs")
    if isinstance(content, list) and content:
        others = _record(content[0]).get("top_logprobs")
        return len(others) if isinstance(others, list) else 0
    return len(_record(top[0])) if isinstance(top, list) and top else 0


def _obeys(text: str, finish_reason: str) -> bool:
    """Whether a text follows `SCHEMA`; one that was cut may be on its way to."""
    try:
        read = json.loads(text)
    except ValueError:
        return finish_reason == "length" and text.lstrip().startswith("{")
    return isinstance(read, dict) and isinstance(read.get("sum"), int)
