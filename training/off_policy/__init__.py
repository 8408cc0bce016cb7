"""What another policy would have given, from the log of the one that ran. To add an estimator, write a module here and
give it a line in `ESTIMATORS`.

logged.py        the rows that every estimator reads
usable.py        from the log's columns to these rows; what cannot be used, counted by reason
reward_model.py  what every action would give for every row, predicted by models that have not seen the row
student.py       from scores to an interval that covers
weights.py       how much of a log speaks about a policy
estimate.py      a policy's value, or two policies' difference, with its interval or the reason why there is none
tails.py         quantiles and tail means of cost and latency under a policy
balance.py       whether draws depended on something that the propensities do not know
null_tests.py    whether chance alone would pass the same test
alpha_spending.py  what repeated testing costs
guards.py        what a better mean must not be bought with
gate.py          may the candidate take over?
canary.py        once it has a share of the traffic: roll back, accept or keep going
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits


@runtime_checkable
class Estimator(Protocol):
    """The value of a policy as a mean over the logged rows. A frozen dataclass, every field with a default."""

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        """What each row contributes, shape (n,): their mean is the estimate, their spread its standard error.

        `outcome` (n,): reward, cost, latency or any function of them, finite; `target` (n, A): the policy's
        probabilities; `fits`: predictions of the outcome, fitted when first asked for. No randomness.
        """
        ...


ESTIMATORS = {
    "ips": "training.off_policy.inverse_propensity:InversePropensity",
    "snips": "training.off_policy.self_normalised:SelfNormalised",
    "clipped": "training.off_policy.clipped:Clipped",
    "direct": "training.off_policy.direct:Direct",
    "dr": "training.off_policy.doubly_robust:DoublyRobust",
    "switch": "training.off_policy.switch:Switch",
    "default": "training.off_policy.cross_fitted:CrossFitted",
}
