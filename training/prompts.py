"""The prompt templates that `collect` knows by name; the same texts serve as `[prompts.NAME]` in router.toml."""

from __future__ import annotations

from router.domain.plan import Prompt
from training.errors import TrainingError

PROMPTS = {
    "none": Prompt("none"),
    "direct": Prompt("direct", after='\nReply with "Answer: " and the answer.'),
    "step": Prompt("step", after='\nThink step by step, then finish with "Answer: " and the answer.'),
    "check": Prompt(
        "check",
        after="\nWork it out step by step. Then check the result in another way, also step by step. "
        'At the very end write "Answer: " and the answer.',
    ),
}
# What asks a sample that is still growing for its answer, by prompt; no space at the end: templates strip it.
ELICITATIONS = {"none": "\n\nThe answer is", "direct": "\nAnswer:", "step": "\nAnswer:", "check": "\nAnswer:"}


def prompt_named(name: str) -> Prompt:
    """The template of this name; raise TrainingError with the choices."""
    if name not in PROMPTS:
        raise TrainingError(f"unknown prompt {name!r}; choose from {', '.join(PROMPTS)}")
    return PROMPTS[name]


def elicitation_of(prompt: Prompt) -> str:
    """What asks for the answer under this template; one that is not of the table has no words of its own for it."""
    return ELICITATIONS.get(prompt.name, ELICITATIONS["none"])
