"""What a query may cost at most under a plan: the amount that the ledger sets aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from predictors.observation import PartKind, Query
from router.domain.plan import Plan, Prompt, Stage
from router.domain.usage import Price, Usage, whole_micros
from router.ledger import Amount

IMAGE_TOKENS = 16_384  # Qwen2.5-VL's largest image: 12,845,056 pixels at 28 x 28 to a token; others take less


@dataclass(frozen=True, slots=True)
class Bound:
    """What one backend charges, and how much one sample of it can use."""

    price: Price
    max_tokens: int  # output of one sample, where neither the query nor the stage says
    template_tokens: int  # allowance per message for the chat template
    context_tokens: int | None = None
    gpu_seconds: float = 0.0  # of one sample, at most


class Prompted(Protocol):
    """A stage, or its call."""

    @property
    def prompt(self) -> Prompt:
        """The template around the query."""
        ...


def prompt_tokens_bound(query: Query, stage: Prompted, template_tokens: int) -> int:
    """Tokens of the prompt at most, without a tokenizer: a token is at least one UTF-8 byte long.

    Text, names, tool schemas and the stage's template in bytes, an allowance per message, and one per image.
    """
    prompt = stage.prompt
    pieces = [prompt.system, prompt.before, prompt.after, query.tool_choice, query.response_format]
    tokens = template_tokens  # for a system message that the template may add
    for message in query.messages:
        tokens += template_tokens
        pieces += (message.name, message.tool_call_id, message.reasoning)
        for part in message.parts:
            if part.kind is PartKind.TEXT:
                pieces.append(part.text)
            else:
                tokens += IMAGE_TOKENS
        for call in message.tool_calls:
            tokens += template_tokens
            pieces += (call.id, call.name, call.arguments)
    for tool in query.tools:
        tokens += template_tokens
        pieces += (tool.name, tool.description, tool.parameters)
    return tokens + sum(
        len(piece) if piece.isascii() else len(piece.encode("utf-8", "replace")) for piece in pieces
    )


def output_tokens_bound(query: Query, stage: Stage, bound: Bound) -> int:
    """Tokens that one sample of the stage can put out at most: the smallest limit that anybody set."""
    limits = (query.sampling.max_tokens, stage.sampling.max_tokens)
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else bound.max_tokens


def samples_bound(query: Query, plan: Plan, stage: int) -> int:
    """Samples of a stage at most; the last stage draws as many as the caller wants answers."""
    drawn = plan.stages[stage].max_samples
    return max(drawn, query.answers) if stage == len(plan.stages) - 1 else drawn


def worst_amount(query: Query, plan: Plan, bounds: Mapping[str, Bound]) -> Amount:
    """What the plan cannot exceed while its backends keep to `max_tokens`: every sample, every stage."""
    micros = gpu_seconds = 0.0
    tokens = 0
    for index, stage in enumerate(plan.stages):
        bound, samples = bounds[stage.backend], samples_bound(query, plan, index)
        tokens_in = prompt_tokens_bound(query, stage, bound.template_tokens)
        if bound.context_tokens is not None:
            tokens_in = min(tokens_in, bound.context_tokens)  # the server refuses what is longer
        tokens_out = output_tokens_bound(query, stage, bound)
        price_in = max(bound.price.per_token_in, bound.price.per_token_cached)
        one = tokens_in * price_in + tokens_out * bound.price.per_token_out
        micros += samples * (one + bound.gpu_seconds * bound.price.per_gpu_second)
        tokens += samples * (tokens_in + tokens_out)
        gpu_seconds += samples * bound.gpu_seconds
    return Amount(whole_micros(micros), tokens, whole_micros(gpu_seconds * 1e6))


def used_amount(by_backend: Mapping[str, Usage], prices: Mapping[str, Price]) -> Amount:
    """What was used, in every unit, at these prices; money is rounded up once, over all backends."""
    micros = sum(prices[name].micros(usage) for name, usage in by_backend.items())
    tokens = sum(usage.tokens_in + usage.tokens_out for usage in by_backend.values())
    gpu_seconds = sum(usage.gpu_seconds for usage in by_backend.values())
    return Amount(whole_micros(micros), tokens, whole_micros(gpu_seconds * 1e6))


def worst_cost(query: Query, plan: Plan, bounds: Mapping[str, Bound]) -> int:
    """Micro-dollars that the plan cannot exceed while its backends keep to `max_tokens`."""
    return worst_amount(query, plan, bounds).micros
