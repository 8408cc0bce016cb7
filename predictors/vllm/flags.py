"""What to start a vLLM server with so that it hands out reduced hidden states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

CONNECTOR, MODULE = "ReducedStates", "predictors.vllm.connector"


def server_flags(layers: Sequence[int], options: Mapping[str, Any]) -> list[str]:
    """Command-line arguments. A layer counts the blocks passed: 0 is the embedding, the model's depth the end.

    `options`: see `predictors.vllm.options`. The folder that holds `predictors` must be on the server's PYTHONPATH.
    """
    speculation = {
        "method": "extract_hidden_states",
        "num_speculative_tokens": 1,
        "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": list(layers)}},
    }
    transfer = {
        "kv_connector": CONNECTOR,
        "kv_connector_module_path": MODULE,
        "kv_role": "kv_producer",
        "kv_connector_extra_config": dict(options),
    }
    return [
        "--speculative-config",
        json.dumps(speculation),
        "--kv-transfer-config",
        json.dumps(transfer),
        "--no-enable-chunked-prefill",
    ]
