"""The stub server's side of the OpenAI protocol: requests read, chunks and whole replies written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from router.backends.stub_texts import Reply, Token


class StubRequest(msgspec.Struct, frozen=True):
    """What the stub reads of a request; every other key is accepted and ignored."""

    model: str
    messages: list[dict[str, Any]] | None = None
    prompt: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    stream_interval: int = 1
    n: int = 1
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int = 0
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    cache_salt: str = ""
    kv_transfer_params: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def limit(self) -> int:
        """Output tokens at most."""
        asked = self.max_completion_tokens if self.max_tokens is None else self.max_tokens
        return 2048 if asked is None else asked

    @property
    def question(self) -> str:
        """The text of the last user turn."""
        if self.messages is None:
            return self.whole_prompt
        turns = [_text(message.get("content")) for message in self.messages if message.get("role") == "user"]
        return turns[-1] if turns else ""

    @property
    def whole_prompt(self) -> str:
        """All text of the request."""
        if self.messages is None:
            return self.prompt if isinstance(self.prompt, str) else "\n".join(self.prompt or ())
        return "\n".join(
            f"{message.get('role')}: {_text(message.get('content'))}" for message in self.messages
        )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, dict))


@dataclass(frozen=True, slots=True)
class Writer:
    """Builds the JSON of one request's answer."""

    request: StubRequest
    chat: bool
    request_id: str
    tokens_in: int
    cached: int
    hidden_path: str = ""  # where this request's hidden states would be; "": the server gives none

    def usage(self, tokens_out: int, thought: int, *, details: bool = True) -> dict[str, Any]:
        """A usage record; vLLM gives details only in the last one of a stream."""
        record: dict[str, Any] = {
            "prompt_tokens": self.tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": self.tokens_in + tokens_out,
        }
        if details:
            record["prompt_tokens_details"] = {"cached_tokens": self.cached}
            record["completion_tokens_details"] = {"reasoning_tokens": thought}
        return record

    def chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        """One server-sent event."""
        return (
            b"data: " + msgspec.json.encode(self._record(choices, usage, "chat.completion.chunk")) + b"\n\n"
        )

    def whole(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        """A reply in one piece."""
        record = self._record(choices, usage, "chat.completion")
        record["kv_transfer_params"] = {"hidden_states_path": self.hidden_path} if self.hidden_path else None
        return msgspec.json.encode(record)

    def piece(self, index: int, reply: Reply, first: int, after: int) -> dict[str, Any]:
        """The choice with its tokens `first` to `after` - 1 alone."""
        tokens = reply.tokens[first:after]
        choice: dict[str, Any] = {"index": index, "finish_reason": None}
        if self.chat:
            choice["delta"] = _delta(tokens)
        else:
            choice["text"] = "".join(token.text for token in tokens)
        choice["logprobs"] = self._logprobs(tokens, reply)
        return choice

    def end(self, index: int, reason: str) -> dict[str, Any]:
        """The choice's last piece, which carries no token."""
        empty: dict[str, Any] = {"delta": {}} if self.chat else {"text": ""}
        return {"index": index, "finish_reason": reason, "logprobs": None} | empty

    def complete(self, index: int, reply: Reply) -> dict[str, Any]:
        """The choice with all of its tokens."""
        choice = {
            "index": index,
            "finish_reason": reply.finish_reason,
            "logprobs": self._logprobs(reply.tokens, reply),
        }
        return choice | ({"message": _message(reply)} if self.chat else {"text": _joined(reply, "text")})

    def _record(
        self, choices: list[dict[str, Any]], usage: dict[str, Any] | None, kind: str
    ) -> dict[str, Any]:
        return {
            "id": self.request_id,
            "object": kind if self.chat else "text_completion",
            "created": 0,
            "model": self.request.model,
            "choices": choices,
            "usage": usage,
        }

    def _logprobs(self, tokens: Sequence[Token], reply: Reply) -> dict[str, Any] | None:
        if self.request.logprobs is None or self.request.logprobs is False:
            return None
        logprob = reply.mean_logprob
        if self.chat:
            count = self.request.top_logprobs or 0
            others = [{"token": f"t{rank}", "logprob": logprob - rank} for rank in range(count)]
            return {
                "content": [
                    {"token": token.text, "logprob": logprob, "top_logprobs": others} for token in tokens
                ]
            }
        count = int(self.request.logprobs)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [logprob] * len(tokens),
            "top_logprobs": [{f"t{rank}": logprob - rank for rank in range(count)}] * len(tokens),
        }


def _delta(tokens: Sequence[Token]) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    for token in tokens:
        if token.kind in _NAMES:
            delta[_NAMES[token.kind]] = delta.get(_NAMES[token.kind], "") + token.text
            continue
        call: dict[str, Any] = {"index": token.tool, "function": {"arguments": token.text}}
        if token.kind == "tool_name":
            call = {"index": token.tool, "id": f"call-{token.tool}", "type": "function"}
            call["function"] = {"name": token.text, "arguments": ""}
        delta.setdefault("tool_calls", []).append(call)
    return delta


_NAMES = {"text": "content", "thought": "reasoning_content"}


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _joined(reply, "text")}
    if thought := _joined(reply, "thought"):
        message["reasoning_content"] = thought
    names = {token.tool: token.text for token in reply.tokens if token.kind == "tool_name"}
    if names:
        message["tool_calls"] = [
            {
                "id": f"call-{tool}",
                "type": "function",
                "function": {"name": name, "arguments": _joined(reply, "tool_arguments", tool)},
            }
            for tool, name in names.items()
        ]
    return message


def _joined(reply: Reply, kind: str, tool: int = 0) -> str:
    return "".join(token.text for token in reply.tokens if token.kind == kind and token.tool == tool)
