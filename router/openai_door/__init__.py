"""The OpenAI door: chat completions over HTTP, by the same allocator as the gRPC server, in the same process.

    POST /v1/chat/completions   whole, or as server-sent events with `stream: true`
    GET  /v1/models             `auto`, every plan, and `backend/NAME` where a plan needs that backend alone
    GET  /v1/models/NAME        one of them
    GET  /health                200 while it serves, 503 while it drains

`model` says who chooses: `auto` lets the policy choose, a plan's name forces that plan, `backend/NAME` leaves the
plans on that backend alone. What OpenAI has no word for goes in an object `router` (of the official client:
`extra_body={"router": {…}}`; its keys are those of `asked.RouterAsked`). Replies carry one too (`reply.Told`), and the
headers `x-apportion-decision-id`, `x-apportion-plan` and `x-apportion-cost-micros`. What a stream cost is known at its
end: it is in `router` of the last finish chunk, not in a header. `usage` counts the tokens of all samples. A plan whose
rule is satisfied early gives fewer answers than `n`.

A request that has a name is worked off once: `router.request_id`, else the header `idempotency-key`. The same name with
another body is refused with 409. Names are this door's own: the gRPC server does not know them.

Ranges are the wire's (`router.checks.queries`). A key that would change the answer and cannot be honoured is refused by
its name. Not supported yet:

* `logprobs` of tokens; `parallel_tool_calls: false`; tools that are not functions, functions that are `strict`,
  `allowed_tools`, `functions` and `function_call`; audio, files and refusals as content;
* `reasoning_effort`, `verbosity` and whatever else is a backend's own, unless one has it in `extra_allowed`;
* tool calls piece by piece: they are streamed whole, after the text; `image_url.detail` is not passed on;
* keys: `Authorization` is not looked at, whoever reaches the address may ask;
* `/v1/completions`, `/v1/responses`, `/v1/embeddings`.
"""
