"""What a replay's page holds, for tests."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any


def content_of(path: Path) -> Any:
    (data,) = re.findall(r'<script id="data" type="text/plain">([^<]*)</script>', path.read_text())
    return json.loads(zlib.decompress(base64.b64decode(data)))
