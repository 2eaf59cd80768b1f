"""MiniHack, saying how a game ended."""

from __future__ import annotations

from typing import Any

import gymnasium

ENDS = {1: "death", 2: "success"}  # NLE's and MiniHack's end_status; else it was cut off


class Ends(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The last step's info says how the game ended, and whether that was a success (``solved``).

    The return does not tell: each step that takes no game time costs 0.01, so that a game may be
    solved at a loss.
    """

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """MiniHack's step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info["end"] = ENDS.get(int(info["end_status"]), "step limit")
            info["solved"] = float(info["end"] == "success")
        return observation, reward, terminated, truncated, info
