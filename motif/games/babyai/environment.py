"""BabyAI with a text for each observation."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from motif.games.babyai.view import tell_view
from motif.messages import MESSAGE_LENGTH, encode
from motif.types import AnyArray


class Described(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations are ``image``, the package's own, and ``message``."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        own = env.observation_space
        assert isinstance(own, spaces.Dict)
        message = spaces.Box(0, 255, (MESSAGE_LENGTH,), np.uint8)
        self.observation_space = spaces.Dict({"image": own["image"], "message": message})

    def reset(self, **kwargs: Any) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Begin an episode, without the package's remarks on levels that it rejects."""
        with contextlib.redirect_stdout(io.StringIO()):
            return super().reset(**kwargs)

    def observation(self, observation: dict[str, Any]) -> dict[str, AnyArray]:
        """With the mission in words, which it is in the package's, too."""
        image = observation["image"]
        return {"image": image, "message": encode(tell_view(image, observation["mission"]))}
