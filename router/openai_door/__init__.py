"""The OpenAI door: what OpenAI's clients ask, over HTTP, by the same allocator as the gRPC server, in the same process.

    POST /v1/chat/completions   whole, or as server-sent events with `stream: true`
    POST /v1/completions        the same for a prompt without turns, which becomes one user turn
    POST /v1/feedback           how an answer turned out; `id` is the reply's
    GET  /v1/models             `auto`, every plan, and `backend/NAME` where a plan needs that backend alone
    GET  /v1/models/NAME        one of them
    GET  /openapi.json          all of this, for machines
    GET  /metrics               where `[metrics] on_door` says so
    GET  /health                200 while it serves, 503 while it drains

`model` says who chooses: `auto` lets the policy choose, a plan's name forces that plan, `backend/NAME` leaves the
plans on that backend alone. `auto:` takes wishes: `cost` and `latency` (how much they matter, 1: as configured), `risk`
and `quality` (limits in [0, 1]), as in `auto:cost=0.3` or `auto:risk=0.05,latency=2`. What OpenAI has no word for goes
in an object `router` (of the official client: `extra_body={"router": {…}}`; its keys are those of `asked.RouterAsked`).
Replies carry one too (`reply.Told`), and the headers `x-apportion-decision-id`, `-plan`, `-status`, `-cost-micros`,
`-bundle` and `-degraded` (the last two where there is something to say). What a stream cost and how it ended is known
at its end: it is in `router` of the last finish chunk, not in a header. `usage` counts the tokens of all samples. A
plan whose rule is satisfied early gives fewer answers than `n`. A stream's status waits for its first text, so that
what fails before has one of its own; streams that are silent for 15 s get it with an SSE comment.

Where there is no answer (`router.status: abstained`), there is one choice: empty, its `refusal` says why.

A request that has a name is worked off once: `router.request_id`, else the header `idempotency-key`. The same name with
another body is refused with 409. Names are this door's own: the gRPC server does not know them.

`[server.forward]` sends other paths (`/v1/embeddings`, …) on to a backend as they are; they are paid for, and no
decision is made about them. `/v1/responses` answers 404 and names chat completions.

Ranges are the wire's (`router.checks.queries`). Queries go to plans whose backends can do what they ask: tools, images,
`response_format`, `logprobs`, and keys that a backend passes on (`extra_allowed`: `reasoning_effort`, `verbosity`, …).
A key that would change the answer and that nobody can honour is refused with 400 by its name. The list:

* tools that are not functions, `allowed_tools`, `functions` and `function_call`; audio and files as content
* `modalities` with audio, `audio`, `web_search_options`
* of completions: several prompts at once, prompts as token ids, `suffix`, `echo`, `best_of` above 1
* whatever no backend has in its `extra_allowed`

Whoever reaches the address may ask, unless callers are authenticated.
"""
