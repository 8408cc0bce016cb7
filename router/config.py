"""router.toml as typed data. `router.configuration.file` reads and checks it, `assemble` turns it into objects.

Money is in $ per 1M tokens (the same number as micro-dollars per token), times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from router.config_access import AuthConfig, LimitsConfig, TlsConfig
from router.config_section import Section


class PriceConfig(Section, frozen=True):
    """One entry of a backend's `prices`: what it costs from `since` on; what is left out stays as it was."""

    since: str  # "2027-01-31" or "2027-01-31T12:00:00Z", UTC
    price_in: float | None = None
    price_cached_in: float | None = None
    price_out: float | None = None
    price_per_gpu_second: float | None = None  # dollars


class GrowingConfig(Section, frozen=True):
    """[backends.NAME.growing]: how samples that still grow are looked at and ended, where a rule wants it."""

    # a look that is due waits for one of these words, whatever their case, but no longer than `patience` tokens;
    # a rule with cues of its own looks at those alone
    cues: tuple[str, ...] = ("\n\n", "wait", "so the answer is")
    patience: int = 32  # 0: looks come at once
    elicit: str = "\n\nThe answer is"  # the words that ask for the tentative answer
    think_start: str = "<think>"
    think_end: str = "</think>"
    opened: bool = False  # the chat template has opened the thought already, and no reasoning parser is on
    answer_tokens: int = 20  # of a tentative answer
    close_tokens: int = 256  # of the answer behind a thought that was closed
    side_call_s: float = 5.0  # a tentative answer that takes longer is not waited for


class ComposeConfig(Section, frozen=True):
    """[backends.NAME.compose]: a backend that is made of two others."""

    small: str = ""  # names of backends
    large: str = ""  # search with scorer = "logprob" needs none
    step_end: str = "\n\n"  # where a reasoning step ends
    most_steps: int = 24  # what comes behind is written in one piece
    # glimpse: nats of the small model's first token above which the large one writes the step
    entropy: float = 0.8
    score: float = 7.0  # speculative_steps: least score of a step that is kept, 0 to 9
    first_by_large: int = 0  # speculative_steps: steps that the large model writes itself
    refine: str = ""  # draft_then_refine: what the large model is told; default: to check and to correct
    keep: Literal["beam", "diverse", "particle", "rebase"] = "beam"  # search: which texts go on
    # search: who says how good a text is; judge, reward: the large backend, as a chat model or a reward model
    scorer: Literal["judge", "logprob", "reward"] = "judge"
    candidates: int = 4  # search: next steps that are written side by side
    beams: int = 2  # search: texts that go on (beam, diverse), and that end before the best is taken
    expansions: int = 32  # search: steps that one sample may write, kept or not
    step_tokens: int = 256  # search: of one step
    reward_mark: str = ""  # search: what a reward model wants to read behind every step


class BackendConfig(Section, frozen=True):
    """[backends.NAME]: where samples come from and what they cost."""

    kind: str = "vllm"  # a name of `BACKENDS`
    # kind = "vllm": any server that speaks the OpenAI protocol
    urls: tuple[str, ...] = ()  # "http://host:8000", without /v1
    model: str = ""  # as the server names it
    api: Literal["chat", "completions"] = "chat"
    api_key_env: str = ""  # the environment variable that holds the key
    ca_file: str = ""  # PEM, relative to router.toml: certificates to trust instead of the system's
    proxy: str = ""  # "http://HOST:PORT"; variables such as HTTPS_PROXY are not read
    proxy_auth_env: str = ""  # the environment variable that holds the proxy's USER:PASSWORD
    extra_allowed: tuple[str, ...] = ()  # keys of a request's `extra` that are passed on
    tenant_cache_salt: bool = False  # vLLM only: tenants share no prefix cache (others may refuse the key)
    timeout_s: float = 120.0  # of a whole sample
    first_token_timeout_s: float = 60.0
    # a second url is asked too where the first has not begun to answer by then, and both are charged; 0: never.
    # Not for growing samples, nor with hidden states.
    hedge_after_s: float = 0.0
    # tokens that a server may send at a time where nobody follows them one by one (vLLM's parameter of that name;
    # asked only of servers that report usage with every piece); 1: never more
    stream_interval: int = 16
    hidden: str = ""  # where hidden states come from: a name of `HIDDEN_SOURCES`; "": from nowhere
    hidden_at: str = ""  # the connector's folder, or the pooling server's url
    hidden_wait_ms: float = 50.0  # at most, after a sample's end; then logprobs take their place
    growing: GrowingConfig = GrowingConfig()
    # kind = "glimpse", "speculative_steps", "draft_then_refine" or "search"
    compose: ComposeConfig = ComposeConfig()
    # kind = "recorded"
    recording: str = ""  # folder, relative to router.toml
    recorded_as: str = ""  # the backend's name there; default: its own
    pace: float = 0.0  # 0: at once; 1: as fast as recorded; 2: twice as fast
    # kind = "scripted"
    # texts in order, repeated; "!timeout", "!unavailable", "!hang" are faults
    script: tuple[str, ...] = ("ok",)
    # prices
    price_in: float = 0.0
    price_cached_in: float | None = None  # default: price_in
    price_out: float = 0.0
    price_per_gpu_second: float = 0.0  # dollars
    gpu_share: float = 0.0  # GPUs that one running sample takes: the server's GPUs / samples that run at once
    prices: tuple[PriceConfig, ...] = ()  # other prices from a date on
    # bounds and abilities
    max_tokens: int = 1024  # of one sample, where neither the query nor the stage says
    template_tokens: int = 64  # allowance per message for the chat template, in the worst case of a prompt
    context_tokens: int | None = None
    tools: bool = False
    images: bool = False
    response_format: bool = False
    logprobs: bool = False
    tokens_per_second: float = 50.0  # for latency forecasts: of a sample while nobody else asks the server
    first_token_s: float = 0.2
    # vLLM: how often its /metrics are read, so that forecasts know its load; 0: never
    load_every_s: float = 0.0


class StageConfig(Section, frozen=True):
    """One entry of a plan's `stages`.

    `stop`, `select` and `verifier` are a name, or a table with `kind` and options.
    """

    backend: str
    prompt: str = ""  # a name of [prompts]
    max_samples: int = 1
    width: int = 1
    stop: str | Mapping[str, Any] = "never"
    select: str | Mapping[str, Any] = ""  # default: first for one sample, else majority
    verifier: str | Mapping[str, Any] = ""
    gate: Mapping[str, Any] = {}  # { signal = "p_correct/small", at_least = 0.3 }
    pool: bool = False
    max_tokens: int | None = None
    thinking_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class PlanConfig(Section, frozen=True):
    """[[plans]]"""

    name: str
    stages: tuple[StageConfig, ...]


class PromptConfig(Section, frozen=True):
    """[prompts.NAME]: a system message, and text around the last user turn."""

    system: str = ""
    before: str = ""
    after: str = ""


class ModeShare(Section, frozen=True):
    """[[modes]]: the first entry that matches a query gives its mode.

    `share` is of sessions (else of requests), by hash.
    """

    mode: Literal["bypass", "observe", "apply"]
    tenant: str = ""  # empty: all
    share: float = 1.0  # [0, 1]


class BudgetConfig(Section, frozen=True):
    """[budget]: the account of everything, and how budgets are kept."""

    dollars: float | None = None  # per window; None: no limit
    window: Literal["rolling", "hour", "day", "month"] = "rolling"  # the others: UTC
    window_s: float = 3600.0  # of a rolling window
    unknown_tenants: Literal["allow", "refuse"] = "allow"  # tenants that no [[budgets]] names
    request_s: float = 900.0  # a request that is not settled after so long is charged at its worst case
    away_share: float = 0.0  # of each limit one replica may spend while the store is away; 0: refuse
    price: Literal["auto", "fixed"] = "auto"  # auto: `price` at least, more as money runs short
    # share of a day's queries in each hour, UTC; none: as the bundle's log had them
    hours: tuple[float, ...] = ()
    urgent_share: float = 0.0  # of each limit, for queries of priority > 0; let go as a window passes
    currencies: Mapping[str, float] = {}  # dollars per unit: { EUR = 1.08 }


class AccountConfig(Section, frozen=True):
    """[[budgets]]: an account within `all` or within another one; requests of its tenants must fit all of them."""

    name: str
    tenants: tuple[str, ...] = ()  # ["*"]: every other tenant, each with an account of its own
    within: str = "all"
    amount: float | None = None  # per window, in `unit`; None: counted, not limited
    unit: str = "USD"  # USD, tokens, gpu_seconds, or a currency of [budget] currencies
    window: Literal["rolling", "hour", "day", "month"] = "rolling"
    window_s: float = 3600.0


class ShadowConfig(Section, frozen=True):
    """[shadow]: in mode observe, really run what `apply` would have drawn, in the background, on money of its own."""

    share: float = 0.0  # of the queries where another plan than the reference would have been run, [0, 1]
    dollars: float = 0.0  # per window
    window_s: float = 3600.0


class ServerConfig(Section, frozen=True):
    """[server]"""

    listen: str = "127.0.0.1:50051"
    admin_listen: str = "127.0.0.1:50052"
    http_listen: str = ""  # the OpenAI door; empty: off
    forward: Mapping[str, str] = {}  # of that door: { "/v1/embeddings" = "BACKEND" } is sent on as it is
    # of that door: names that clients say already, { "Qwen/Qwen2.5-32B-Instruct" = "auto" }; "*": every other name
    models: Mapping[str, str] = {}
    # /console on http_listen; while callers are not authenticated, for this machine alone
    console: bool = True
    # a gRPC port that answers questions about health alone, without TLS, for probes that know none; empty: none
    health_listen: str = ""
    # true: may listen on other addresses than the loopback's; see [auth] and [tls] for who comes in then
    allow_remote: bool = False
    drain_s: float = 20.0  # k8s sends SIGKILL after 30 s
    max_message_bytes: int = 16 * 1024 * 1024
    max_bodies_bytes: int = 256 * 1024 * 1024  # of HTTP requests, all that arrive or are worked on at once
    max_prompt_chars: int = 4_000_000
    replay_s: float = 600.0  # how long a finished request id is answered again
    max_queries: int = 1000  # in flight; more are shed
    max_outcomes_per_s: float = 5000.0  # that one tenant may report to this replica; more have to wait


class MetricsConfig(Section, frozen=True):
    """[metrics]: Prometheus' `/metrics`."""

    listen: str = ""  # "HOST:PORT" of a port of its own for it, which shows all workers together; empty: none
    on_door: bool = False  # also at the OpenAI door; under [auth] for operators alone
    tenants: int = 20  # that have a label of their own, the first ones; the others are `other`


class TenantStore(Section, frozen=True):
    """[store.tenants.NAME]: what is kept of this tenant's texts; a request may ask for less, never for more."""

    keep: Literal["off", "hash", "full"]


class TracingConfig(Section, frozen=True):
    """[tracing]: OpenTelemetry; needs the extra `otel`."""

    endpoint: str = ""  # of a collector that takes OTLP over gRPC, "http://HOST:4317"; empty: off
    share: float = 1.0  # of the queries whose callers bring no trace of their own


class LogConfig(Section, frozen=True):
    """[log]: on standard error."""

    form: Literal["text", "json"] = "text"  # `apportion serve --log` has the last word
    queries: Literal["none", "failed", "all"] = "none"  # a line per query, without its texts


class StoreConfig(Section, frozen=True):
    """[store]"""

    sqlite: str = "apportion.db"  # relative to router.toml; ":memory:" keeps nothing
    # "postgresql://HOST/DATABASE": decisions and outcomes of several replicas are kept there, and `sqlite` only names
    # the spools beside router.toml that rows wait in while the server is away
    postgres: str = ""
    # what is older is thrown away, of budgets' movements all but their sums; 0: nothing is
    retention_days: float = 0.0
    # where budgets are kept: a file relative to router.toml, shared by the replicas of one machine, or
    # "postgresql://HOST/DATABASE"; default: with the decisions, in a file with ".budgets" after their name
    ledger: str = ""
    keep: Literal["off", "hash", "full"] = "full"
    tenants: Mapping[str, TenantStore] = {}

    @property
    def retention_s(self) -> float:
        """In seconds; 0: nothing is thrown away."""
        return self.retention_days * 86_400.0


class MetricConfig(Section, frozen=True):
    """[rewards.metrics.NAME]: numbers from `low` to `high` are rewards from 0 to 1; beyond, 0 or 1. true is 1."""

    weight: float = 1.0  # beside the other metrics of a decision
    low: float = 0.0
    high: float = 1.0  # below `low`: less is better
    labels: Mapping[str, float] = {}  # label -> reward; one that is not here has none


class RewardsConfig(Section, frozen=True):
    """[rewards]: from what was reported about a decision to one reward in [0, 1]."""

    metrics: Mapping[str, MetricConfig] = {}  # none: the metric with the most outcomes, as it is
    # who says so -> how much it counts; 1 where it is not said, 0: not at all
    sources: Mapping[str, float] = {}
    wait_s: float = 0.0  # so long outcomes may take: what is younger is not labelled yet, whatever came early
    # of a decision about which nothing was reported within wait_s; none: no label
    default: float | None = None


class Config(Section, frozen=True):
    """A whole router.toml."""

    backends: Mapping[str, BackendConfig]
    plans: tuple[PlanConfig, ...]
    reference: str = ""  # the plan of bypass and observe; default: the last one with one stage and one sample
    untrained: str = ""  # the plan served without a bundle; default: the reference
    mode: Literal["bypass", "observe", "apply"] = "apply"
    modes: tuple[ModeShare, ...] = ()
    policy: str | Mapping[str, Any] = "utility"
    price: float = 0.0  # shadow price lambda: quality per dollar
    latency_price: float = 0.0  # mu: quality per second
    seed: int = 0  # of the draws
    bundle: str = ""  # folder, relative to router.toml
    # folder of bundles under their versions, relative to router.toml, from which `apportion bundles` promotes;
    # `bundle` serves until one of them is active. "": bundles change with the configuration alone
    bundles: str = ""
    # PEM, relative to router.toml: public Ed25519 keys, of one of which every bundle must be signed (see `apportion
    # bundles sign`), read with every bundle; "": it need not
    bundle_signers: str = ""
    answers: str = "auto"  # how answers are extracted: a name of `router.answers.ANSWER_KINDS`
    answers_by_task: Mapping[str, str] = {}  # task hint -> answer kind
    prompts: Mapping[str, PromptConfig] = {}
    verifiers: Mapping[str, str | Mapping[str, Any]] = {}  # NAME = { kind = "…", … }, for stages and queries
    budget: BudgetConfig = BudgetConfig()
    budgets: tuple[AccountConfig, ...] = ()
    shadow: ShadowConfig = ShadowConfig()
    rewards: RewardsConfig = RewardsConfig()
    server: ServerConfig = ServerConfig()
    auth: AuthConfig = AuthConfig()
    tls: TlsConfig = TlsConfig()
    limits: LimitsConfig = LimitsConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    log: LogConfig = LogConfig()
    store: StoreConfig = StoreConfig()
