"""One legend for the axis suffixes used in names throughout the project.

====  =====================================================
``N``  pairs in the dataset
``B``  pairs, observations or games in a batch
``P``  side of the pair (2)
``T``  time: steps of one side, or of an episode (L in the release's notes)
``U``  distinct messages
``C``  characters of a message (256)
====  =====================================================

``messages_BPTC`` is (B, 2, T, 256); a scalar carries no suffix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MessageArray = NDArray[np.uint8]
LabelArray = NDArray[np.int8]
IndexArray = NDArray[np.int64]
AnyArray = NDArray[Any]
# of an environment's step, as Gymnasium has it
StepResult = tuple[Any, Any, bool, bool, dict[str, Any]]
