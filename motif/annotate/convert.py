"""A GGUF file as a folder that vLLM loads."""

from __future__ import annotations

import shutil
from pathlib import Path

from motif.annotate.chat import ModelError
from motif.annotate.gguf import identify_gguf
from motif.annotate.refusals import first_lines
from motif.atomic_write import temporary_path, write_json
from motif.errors import ConfigError, MissingPackageError

ORIGIN = "gguf.json"  # in the folder: what the file was


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file as bfloat16 safetensors, with its tokenizer and template.

    Raises:
        ConfigError: the folder is there.
        MissingPackageError: transformers, gguf or accelerate are not installed.
        ModelError: the file is none, or of a kind that transformers does not know.
    """
    origin = identify_gguf(path)
    if folder.exists():
        raise ConfigError(f"{str(folder)!r} is there already; name a new folder, or delete it")
    unfinished = temporary_path(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write(path, unfinished)
        write_json(unfinished / ORIGIN, origin)
        unfinished.replace(folder)
    except ImportError as error:
        raise MissingPackageError(
            f"{first_lines(error)}: pip install transformers gguf accelerate"
        ) from None
    except (ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"{str(path)!r} cannot be converted: {first_lines(error)}; "
            "if the file is whole, --backend llamacpp may take it as it is"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(path: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    # Its own save_pretrained refuses a model that was quantised.
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    config.pop("quantization_config", None)
    write_json(folder / "config.json", config)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        raise ModelError(f"{str(path)!r}: this transformers keeps its weights packed; take another")
    if config.get("tie_word_embeddings"):
        tensors.pop("lm_head.weight", None)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
