"""The line a benchmark ends with: its figures, and all that they depend on, as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "nle", "sample-factory", "vllm")


def report(name: str, figures: Mapping[str, Any], ratios: Mapping[str, float]) -> None:
    """Print one JSON line: {benchmark, figures, ratios, machine, versions, commit}.

    ``ratios`` are of figures measured in this very run, so that they hold on other machines too.
    """
    line = {
        "benchmark": name,
        "figures": figures,
        "ratios": ratios,
        "machine": _machine(),
        "versions": _versions(),
        "commit": _commit(),
    }
    print(json.dumps(line))


def _machine() -> str:
    """Processor and cores at hand; no host name."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    return f"{processor}, {len(os.sched_getaffinity(0))} cores"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=8"]
    folder = Path(__file__).parent
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()
