"""Where tensors go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from motif.errors import ConfigError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "gpu", "cuda"]


def resolve_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one; ``gpu`` and ``cuda`` insist on it.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if name in ("gpu", "cuda") and not available:
        raise ConfigError(f"--device {name}: torch sees no GPU here; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
