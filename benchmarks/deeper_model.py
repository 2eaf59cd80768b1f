"""A model with more layers that says the same: a cheap stand-in for a larger one.

The new layers compute all that a layer computes, and then add nothing to the residual stream. So a
tiny model that took a minute to train costs as much per token as one that would take hours.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch


def deepen(model: Path, output: Path, layers: int) -> Path:
    """Write the Llama in the folder ``model`` with ``layers`` layers in all to ``output``."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(model, output, dirs_exist_ok=True)
    shallow = AutoModelForCausalLM.from_pretrained(model)
    config = AutoConfig.from_pretrained(model)
    trained, config.num_hidden_layers = config.num_hidden_layers, layers
    deep = AutoModelForCausalLM.from_config(config)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    with torch.no_grad():
        for layer in deep.model.layers[trained:]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    deep.save_pretrained(output)
    return output
