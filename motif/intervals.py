"""Intervals of shares."""

from __future__ import annotations

import math

Z_95 = 1.959964  # of the normal distribution, two-sided


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a success rate (Wilson 1927); (0, 1) without a trial.

    Unlike the plain normal interval it stays within 0 and 1 and is sound for few trials. Successes
    may be halves (equal rewards agree with half a label), which scipy's binomtest does not take.
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = rate * (1 - rate) / trials + z2 / (4 * trials**2)
    half = Z_95 * math.sqrt(spread) / (1 + z2 / trials)
    return max(centre - half, 0.0), min(centre + half, 1.0)
