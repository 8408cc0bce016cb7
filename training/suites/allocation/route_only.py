"""`route_only`: which backend, one sample each; with prompts as backends also `model_only` and `prompt_only`.

A backend `small-step` beside `small` is the same model under another prompt. `model_only` keeps one prompt and routes
between models, `prompt_only` keeps one model and routes between prompts, each with the best choice of what it keeps on
the training queries; `route_only` is then the joint choice (Route-To-Reason, #211 of the methods).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from training.suites.allocation.by_utility import by_utility
from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import spaced, with_ends


def route_only(known: Known) -> Mapping[str, Decided]:
    """Plans of one sample."""
    names = known.problem.backends
    found = {"route_only": with_ends(known, spaced(known, [by_utility(known, range(len(names)))]))}
    kept = prompts_of(names)
    by_prompt, by_model = defaultdict(list), defaultdict(list)
    for place, name in enumerate(names):
        model, prompt = kept[name]
        by_prompt[prompt].append(place)
        by_model[model].append(place)
    if len(by_prompt) > 1:
        found["model_only"] = spaced(known, [by_utility(known, group) for group in by_prompt.values()])
        found["prompt_only"] = spaced(known, [by_utility(known, group) for group in by_model.values()])
    return found


def prompts_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Backend -> model and prompt: `small-step` is model `small` under prompt `step` where there is a `small`."""
    found = {}
    for name in names:
        model = max((one for one in names if name.startswith(f"{one}-")), key=len, default=name)
        found[name] = (model, name[len(model) + 1 :])
    return found
