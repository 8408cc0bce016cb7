"""States by transformers, in vLLM's environment: sequences as JSON on standard input, their states on the output.

A layer counts the blocks that were passed: 0 is the embedding. Where `states` is "values" it is what the next block's
`v_proj` makes of that state. Nothing of ours is imported.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(folder: str) -> None:
    """Read `[{prompt: ids, answer: ids, states, layers}]`; write `[{"PART@LAYER": vector, "next": ids}]`."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked, out = json.load(sys.stdin), []
    seen: dict[tuple[str, int], torch.Tensor] = {}

    def keep(states: str, layer: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            found = output[0] if isinstance(output, tuple) else output
            seen[states, layer] = found.reshape(-1, found.shape[-1]).double()

        return hook

    for layer, block in enumerate(model.model.layers, 1):
        block.register_forward_hook(keep("hidden", layer))
        block.self_attn.v_proj.register_forward_hook(keep("values", layer - 1))
    for one in asked:
        prompt, answer = one["prompt"], one["answer"]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0]
        found: dict[str, object] = {"next": logits[len(prompt) - 1 :].argmax(dim=-1).tolist()}
        for layer in one["layers"]:
            states, end = seen[one["states"], layer], len(prompt)
            found[f"prompt_last@{layer}"] = states[end - 1].tolist()
            found[f"prompt_mean@{layer}"] = states[:end].mean(dim=0).tolist()
            found[f"answer_last@{layer}"] = states[-1].tolist()
            found[f"answer_mean@{layer}"] = (
                (states[end:] if answer else states[end - 1 :]).mean(dim=0).tolist()
            )
        out.append(found)
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
