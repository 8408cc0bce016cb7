"""When to stop sampling. To add a rule, write a module here and give it a line in `STOPPING_RULES`.

A rule is a frozen dataclass, every field with a default, and one method. It reads the tally, never the texts, and
is asked after every sample (growing ones too where the backend yields them). MORE at `max_samples` means ESCALATE,
and ESCALATE on the last stage means ENOUGH with the stop reason `exhausted`: a rule need not know either.
A rule over growing samples has a property `growth` that says when it wants to see them (`router.domain.growth`), one
that asks the backend about each finished sample a property `asking` (`router.domain.asking`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from predictors.observation import Observation, Signals
from router.domain.verdict import Verdict


@runtime_checkable
class StoppingRule(Protocol):
    """Observation and signals in; MORE, ENOUGH, ESCALATE or PRUNE out."""

    @property
    def reads_content(self) -> bool:
        """Whether the verdict depends on what was answered; where it does not, text may stream at once."""
        ...

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """Speak after at least one sample of the stage. A pure function of its arguments, within 50 microseconds.

        Never ENOUGH on disagreement alone. Signals that are missing must not raise: without them the rule says MORE.
        """
        ...


STOPPING_RULES = {
    "never": "router.stopping.never:Never",
    "agreement": "router.stopping.agreement:Agreement",
    "majority_certificate": "router.stopping.majority_certificate:MajorityCertificate",
    "beta": "router.stopping.beta:Beta",
    "dirichlet": "router.stopping.dirichlet:Dirichlet",
    "window": "router.stopping.window:Window",
    "lock_in": "router.stopping.lock_in:LockIn",
    "entropy": "router.stopping.entropy:Entropy",
    "value_of_next": "router.stopping.value_of_next:ValueOfNext",
    "learned_stop": "router.stopping.learned_stop:LearnedStop",
    "self_eval": "router.stopping.self_eval:SelfEval",
    "confident": "router.stopping.confident:Confident",
    "hop": "router.stopping.hop:Hop",
    "first_finish": "router.stopping.first_finish:FirstFinish",
    "instance_adaptive": "router.stopping.instance_adaptive:InstanceAdaptive",
    "hopeless": "router.stopping.hopeless:Hopeless",
    "prune": "router.stopping.prune:Prune",
    "token_cap": "router.stopping.token_cap:TokenCap",
    "converged": "router.stopping.converged:Converged",
    "safe_exit": "router.stopping.safe_exit:SafeExit",
    "utility": "router.stopping.utility:Utility",
    "deadline": "router.stopping.deadline:Deadline",
    "looping": "router.stopping.looping:Looping",
    "any_of": "router.stopping.any_of:AnyOf",
    "all_of": "router.stopping.all_of:AllOf",
    "not_before": "router.stopping.not_before:NotBefore",
}
