"""A call as the body of an OpenAI request: messages, tools, sampling parameters, allow-listed extras.

What OpenAI does not know (`top_k`, `min_p`, `repetition_penalty`, `thinking_token_budget`, `cache_salt`) is vLLM's
name for it and is sent only where it was asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from predictors.observation import Message, Part, PartKind, Query, Sampling, Tool
from router.backends import Call
from router.backends.prompting import with_prompt
from router.config import BackendConfig
from router.errors import BackendRefused

TOP_ALTERNATIVES = 10  # per token where logprobs are wanted: as many as `collect` records
TOP_OF_COMPLETIONS = 5  # the most that OpenAI's completions allow
MAX_SEED = 2**31  # some servers keep seeds in 32 bits
CHARS_PER_TOKEN = 4  # of UTF-8 bytes; used only where a server reports no usage


def request_body(call: Call, config: BackendConfig) -> dict[str, Any]:
    """Everything of the request but `n`, `seed` and `stream_options`, which belong to one exchange.

    Raises `BackendRefused` for JSON text of the query (a tool's parameters, the response format) that is not JSON.
    """
    messages = with_prompt(call.query.messages, call.prompt)
    body: dict[str, Any] = {"model": config.model, "stream": True}
    if config.api == "chat":
        body["messages"] = [wire_message(message) for message in messages]
        _add_tools(body, call.query)
    else:
        body["prompt"] = "\n\n".join(message.text for message in messages)
    body |= wire_sampling(call.sampling)
    # vLLM's name; a server that does not know it leaves the mark out, and the sample ends there
    if call.until:
        body |= {"stop": [*call.sampling.stop, call.until], "include_stop_str_in_output": True}
    if call.begun and config.api == "chat":
        body["messages"].append({"role": "assistant", "content": call.begun})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    elif call.begun:
        body["prompt"] += call.begun
    if call.logprobs and config.logprobs:
        usual = TOP_ALTERNATIVES if config.api == "chat" else TOP_OF_COMPLETIONS
        wanted = max(usual, call.sampling.logprobs or 0)
        body |= {"logprobs": True, "top_logprobs": wanted} if config.api == "chat" else {"logprobs": wanted}
    if call.query.response_format:
        body["response_format"] = _json("response_format", call.query.response_format)
    body |= cache_salt(config, call.query.tenant)
    for key in config.extra_allowed:
        if key in call.query.extra and key not in _OURS:
            body.setdefault(key, call.query.extra[key])
    return body


def cache_salt(config: BackendConfig, tenant: str) -> dict[str, str]:
    """What keeps a tenant's prefixes apart from others' in a server's cache; nothing where that is not wanted."""
    if not (config.tenant_cache_salt and tenant):
        return {}
    return {"cache_salt": blake2b(tenant.encode("utf-8", "replace"), digest_size=16).hexdigest()}


# What the router must keep in its hands, or could not count, also where an operator allows it by mistake.
_OURS = frozenset(
    {"model", "messages", "prompt", "stream", "stream_options", "n", "best_of", "seed", "max_tokens"}
    | {"max_completion_tokens", "use_beam_search", "echo", "cache_salt", "kv_transfer_params"}
)


def seed_of(call: Call, index: int) -> int:
    """The seed of the call's `index`-th sample.

    Consecutive, because that is how vLLM seeds the choices of one request with `n` > 1: the same samples come
    whether they are asked for together or one by one.
    """
    return (call.seed + index) % MAX_SEED


def prompt_tokens_estimate(call: Call) -> int:
    """About the number of prompt tokens: UTF-8 bytes of all texts / 4, rounded up. Images are not counted."""
    size = 0
    for message in with_prompt(call.query.messages, call.prompt):
        size += len(message.text.encode("utf-8", "replace"))
        size += sum(len(asked.arguments) + len(asked.name) for asked in message.tool_calls)
    size += sum(len(tool.parameters) + len(tool.description) + len(tool.name) for tool in call.query.tools)
    return -(-size // CHARS_PER_TOKEN)


def wire_sampling(sampling: Sampling) -> dict[str, Any]:
    """The parameters that are set, under their names on the wire."""
    named = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "max_tokens": sampling.max_tokens,
        "thinking_token_budget": sampling.thinking_tokens,
        "stop": list(sampling.stop) or None,
        "logit_bias": dict(sampling.logit_bias) or None,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
    }
    return {name: value for name, value in named.items() if value is not None}


def wire_message(message: Message) -> dict[str, Any]:
    """One turn; a content of text alone is sent as a string, which every server understands."""
    sent: dict[str, Any] = {"role": message.role, "content": _content(message.parts)}
    if message.name:
        sent["name"] = message.name
    if message.tool_call_id:
        sent["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        sent["reasoning_content"] = message.reasoning
    if message.tool_calls:
        sent["tool_calls"] = [
            {
                "id": asked.id,
                "type": "function",
                "function": {"name": asked.name, "arguments": asked.arguments},
            }
            for asked in message.tool_calls
        ]
        if not message.parts:
            sent["content"] = None
    return sent


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if all(part.kind is PartKind.TEXT for part in parts):
        return "".join(part.text for part in parts)
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    if part.kind is PartKind.TEXT:
        return {"type": "text", "text": part.text}
    url = part.image_url
    if part.kind is PartKind.DATA:
        url = f"data:{part.mime};base64,{base64.b64encode(part.data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}


def _add_tools(body: dict[str, Any], query: Query) -> None:
    if query.tools:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in query.tools]
        if query.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = query.parallel_tool_calls
    if query.tool_choice in {"auto", "none", "required"}:
        body["tool_choice"] = query.tool_choice
    elif query.tool_choice:
        body["tool_choice"] = {"type": "function", "function": {"name": query.tool_choice}}


def _function(tool: Tool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name}
    if tool.description:
        described["description"] = tool.description
    if tool.parameters:
        described["parameters"] = _json(f"tools: parameters of {tool.name!r}", tool.parameters)
    if tool.strict is not None:
        described["strict"] = tool.strict
    return described


def _json(field: str, text: str) -> msgspec.Raw:
    """The text as it is, once it is known to be JSON."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BackendRefused(f"{field}: not JSON: {error}") from error
    return msgspec.Raw(text.encode())
