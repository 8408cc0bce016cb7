"""What a query may cost at most under a plan: the amount that the ledger sets aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from predictors.observation import PartKind, Query
from router.domain.asking import RULE_TOKENS, Asks, asking_rules
from router.domain.growth import Growth, growth_of
from router.domain.plan import Plan, Prompt, Stage
from router.domain.usage import Price, Usage, whole_micros
from router.ledger import Amount

ASKING_TOKENS = 64  # of the words that ask a growing sample for its answer
IMAGE_TOKENS = 16_384  # Qwen2.5-VL's largest image: 12,845,056 pixels at 28 x 28 to a token; others take less


@dataclass(frozen=True, slots=True)
class Bound:
    """What one backend charges, and how much one sample of it can use."""

    price: Price
    max_tokens: int  # output of one sample, where neither the query nor the stage says
    template_tokens: int  # allowance per message for the chat template
    context_tokens: int | None = None
    gpu_seconds: float = 0.0  # of one sample, at most, in all its copies
    answer_tokens: int = 20  # of a tentative answer, at most
    # of one sample, at most: more for a composition, each of which reads what was written so far
    calls: int = 1
    copies: int = 1  # of a request, at most: two where a second server may be asked too
    dropped_tokens: int = 0  # that one sample of a composition may write beside its text, and not keep


class Prompted(Protocol):
    """A stage, or its call."""

    @property
    def prompt(self) -> Prompt:
        """The template around the query."""
        ...


@dataclass(frozen=True, slots=True)
class QuerySize:
    """What bounds the prompts of a query; counted once, whatever the number of plans."""

    utf8_bytes: int  # of text, names and tool schemas
    templates: int  # messages, tools and calls, and the system message that a template may add
    images: int

    def prompt_tokens(self, prompt: Prompt, template_tokens: int) -> int:
        """Tokens of the prompt at most, without a tokenizer: a token is at least one UTF-8 byte long.

        Text, names, tool schemas and the stage's template in bytes, an allowance per message, and one per image.
        """
        template = utf8_bytes(prompt.system) + utf8_bytes(prompt.before) + utf8_bytes(prompt.after)
        return self.utf8_bytes + template + self.templates * template_tokens + self.images * IMAGE_TOKENS


def query_size(query: Query) -> QuerySize:
    """Count a query."""
    size = utf8_bytes(query.tool_choice) + utf8_bytes(query.response_format)
    templates, images = 1 + len(query.messages) + len(query.tools), 0
    for message in query.messages:
        size += utf8_bytes(message.name) + utf8_bytes(message.tool_call_id) + utf8_bytes(message.reasoning)
        for part in message.parts:
            if part.kind is PartKind.TEXT:
                size += utf8_bytes(part.text)
            else:
                images += 1
        for call in message.tool_calls:
            templates += 1
            size += utf8_bytes(call.id) + utf8_bytes(call.name) + utf8_bytes(call.arguments)
    for tool in query.tools:
        size += utf8_bytes(tool.name) + utf8_bytes(tool.description) + utf8_bytes(tool.parameters)
    return QuerySize(size, templates, images)


def utf8_bytes(text: str) -> int:
    """Bytes of a text; a lone surrogate counts as the `?` that takes its place."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def prompt_tokens_bound(query: Query, stage: Prompted, template_tokens: int) -> int:
    """`QuerySize.prompt_tokens` of one query and stage."""
    return query_size(query).prompt_tokens(stage.prompt, template_tokens)


def output_tokens_bound(query: Query, stage: Stage, bound: Bound) -> int:
    """Tokens that one sample of the stage can put out at most: the smallest limit that anybody set."""
    own, of_stage = query.sampling.max_tokens, stage.sampling.max_tokens
    if own is None:
        return bound.max_tokens if of_stage is None else of_stage
    return own if of_stage is None else min(own, of_stage)


def samples_bound(query: Query, plan: Plan, stage: int) -> int:
    """Samples of a stage at most; the last stage draws as many as the caller wants answers."""
    drawn = plan.stages[stage].max_samples
    return max(drawn, query.answers) if stage == len(plan.stages) - 1 else drawn


def worst_sample(query: Query, size: QuerySize, stage: Stage, bound: Bound) -> tuple[float, int]:
    """What one sample of the stage cannot exceed: micro-dollars, and tokens in and out together."""
    tokens_in = size.prompt_tokens(stage.prompt, bound.template_tokens)
    if bound.context_tokens is not None:
        tokens_in = min(tokens_in, bound.context_tokens)  # the server refuses what is longer
    tokens_out = output_tokens_bound(query, stage, bound)
    price_in = max(bound.price.per_token_in, bound.price.per_token_cached)
    if bound.calls > 1:  # every token is written twice at most, and every call may bring one that is not kept
        tokens_in = bound.calls * (tokens_in + tokens_out + ASKING_TOKENS)
        tokens_out = 2 * tokens_out + bound.calls + bound.dropped_tokens
    looks_in, looks_out = side_calls(growth_of(stage.stop), tokens_in, tokens_out, bound.answer_tokens)
    for rule in asking_rules(stage.stop):  # reads prompt and sample anew, and a turn of its own
        looks_in += tokens_in + tokens_out + utf8_bytes(rule.words) + 2 * bound.template_tokens
        looks_out += RULE_TOKENS
    tokens_in, tokens_out = tokens_in + looks_in, tokens_out + looks_out
    tokens_in, tokens_out = bound.copies * tokens_in, bound.copies * tokens_out
    one = tokens_in * price_in + tokens_out * bound.price.per_token_out
    return one + gpu_seconds(stage, bound) * bound.price.per_gpu_second, tokens_in + tokens_out


def gpu_seconds(stage: Stage, bound: Bound) -> float:
    """Of one sample at most: its own, its looks' (one after the other while it grows), its closing's, its rules'."""
    growth = growth_of(stage.stop)
    looks = 0 if growth is None else 1 + growth.answers
    return (1 + looks + len(asking_rules(stage.stop))) * bound.gpu_seconds


def side_calls(growth: Growth | None, tokens_in: int, tokens_out: int, answer_tokens: int) -> tuple[int, int]:
    """Tokens in and out of all looks at one sample and of its closing, at most: each reads prompt and sample anew."""
    if growth is None:
        return 0, 0
    calls = 1 + (growth.looks(tokens_out) if growth.answers else 0)
    return calls * (tokens_in + tokens_out + ASKING_TOKENS), calls * answer_tokens


def worst_asking(
    size: QuerySize, plan: Plan, asks: Asks, bounds: Mapping[str, Bound]
) -> tuple[float, int, float]:
    """What the questions of one selection cannot exceed: micro-dollars, tokens in and out, GPU seconds."""
    bound = bounds[asks.backend]
    whole = max(size.prompt_tokens(stage.prompt, bound.template_tokens) for stage in plan.stages)
    tokens_in = asks.prompt_bytes + 3 * bound.template_tokens + (whole if asks.reads_query else 0)
    if bound.context_tokens is not None:
        tokens_in = min(tokens_in, bound.context_tokens)
    tokens_out = asks.max_tokens
    if bound.calls > 1:  # a composition answers: see `worst_sample`
        tokens_in = bound.calls * (tokens_in + tokens_out + ASKING_TOKENS)
        tokens_out = 2 * tokens_out + bound.calls + bound.dropped_tokens
    price_in = max(bound.price.per_token_in, bound.price.per_token_cached)
    gpu_s = asks.calls * bound.gpu_seconds
    calls = asks.calls * bound.copies
    micros = calls * (tokens_in * price_in + tokens_out * bound.price.per_token_out)
    return (
        micros + gpu_s * bound.price.per_gpu_second,
        calls * (tokens_in + tokens_out),
        gpu_s,
    )


def worst_amount(query: Query, plan: Plan, bounds: Mapping[str, Bound]) -> Amount:
    """What the plan cannot exceed while its backends keep to `max_tokens`: every sample, every stage."""
    micros = gpu_s = 0.0
    tokens, size = 0, query_size(query)
    for index, stage in enumerate(plan.stages):
        bound, samples = bounds[stage.backend], samples_bound(query, plan, index)
        one, tokens_of_one = worst_sample(query, size, stage, bound)
        micros += samples * one
        tokens += samples * tokens_of_one
        gpu_s += samples * gpu_seconds(stage, bound)
    for asks in plan.asks:
        one, tokens_of_one, gpu_s_of_one = worst_asking(size, plan, asks, bounds)
        micros, tokens, gpu_s = micros + one, tokens + tokens_of_one, gpu_s + gpu_s_of_one
    return Amount(whole_micros(micros), tokens, whole_micros(gpu_s * 1e6))


def used_amount(by_backend: Mapping[str, Usage], prices: Mapping[str, Price]) -> Amount:
    """What was used, in every unit, at these prices; money is rounded up once, over all backends."""
    micros = sum(prices[name].micros(usage) for name, usage in by_backend.items())
    tokens = sum(usage.tokens_in + usage.tokens_out for usage in by_backend.values())
    gpu_s = sum(usage.gpu_seconds for usage in by_backend.values())
    return Amount(whole_micros(micros), tokens, whole_micros(gpu_s * 1e6))


def worst_cost(query: Query, plan: Plan, bounds: Mapping[str, Bound]) -> int:
    """Micro-dollars that the plan cannot exceed while its backends keep to `max_tokens`."""
    return worst_amount(query, plan, bounds).micros
