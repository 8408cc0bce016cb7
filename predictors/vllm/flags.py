"""What to start a vLLM server with so that it hands out reduced hidden states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from predictors.vllm.options import HIDDEN, VALUES

CONNECTOR, MODULE = "ReducedStates", "predictors.vllm.connector"


def server_flags(layers: Sequence[int], options: Mapping[str, Any]) -> list[str]:
    """Command-line arguments. A layer counts the blocks passed: 0 is the embedding, the model's depth the end.

    `options`: see `predictors.vllm.options`; with `states: "values"` nothing but the connector is started, and the
    last layer is the depth less one. The folder that holds `predictors` must be on the server's PYTHONPATH.
    """
    values = options.get("states", HIDDEN) == VALUES
    transfer = {
        "kv_connector": CONNECTOR,
        "kv_connector_module_path": MODULE,
        "kv_role": "kv_producer",
        "kv_connector_extra_config": {**options, "layers": list(layers)} if values else dict(options),
    }
    connector = ["--kv-transfer-config", json.dumps(transfer)]
    if values:
        return connector
    speculation = {
        "method": "extract_hidden_states",
        "num_speculative_tokens": 1,
        "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": list(layers)}},
    }
    return ["--speculative-config", json.dumps(speculation), *connector, "--no-enable-chunked-prefill"]
