"""Memory of every process over a training run: does anything grow?

    python -m benchmarks.training_memory --frames 2000000

Trains with the intrinsic reward and reads, every ``--every`` seconds, what each process holds for
itself (USS: shared buffers and libraries not counted). Prints the curve in ``--points`` windows,
and for each part how far the windows after the warm-up lie apart, twice: by the least of a window's
readings, which is what is held between training steps, and by the greatest, with the buffers of a
step. A median would say at which moments one happened to look: the learner's buffers come and go by
tens of megabytes within a second. Before that, what one more environment costs in this process.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import report
from benchmarks.rl_throughput import SETTINGS
from benchmarks.training_run import untrained_reward_model, watch
from sample_factory_ext.environment import make_env
from sample_factory_ext.parameters import ENVIRONMENT, parse_rl_args

MEGABYTE = 2**20
PARTS = ("learner", "inference", "env", "runner")
ENVIRONMENTS = 32


def own_memory(processes: list[psutil.Process]) -> float:
    """Megabytes that are these processes' alone."""
    return sum(process.memory_full_info().uss for process in processes) / MEGABYTE


def environment_memory(flags: str) -> float:
    """Megabytes that one more environment takes, game included."""
    cfg = parse_rl_args([*SETTINGS.split(), *flags.split()])
    here, envs = psutil.Process(), []

    def start() -> None:
        envs.append(make_env(ENVIRONMENT, cfg))
        envs[-1].reset()
        for _ in range(20):
            envs[-1].step(envs[-1].action_space.sample())

    start()  # with it come the packages, the reward model and its memo
    before = own_memory([here])
    for _ in range(ENVIRONMENTS):
        start()
    grown = own_memory([here]) - before
    for env in envs:
        env.close()
    return grown / ENVIRONMENTS


def spread(values: list[float]) -> float:
    """How far the values lie apart, as a share of their median."""
    return (max(values) - min(values)) / median(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2_000_000)
    parser.add_argument("--warm_up", type=int, default=200_000, help="frames not judged")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between readings")
    parser.add_argument("--points", type=int, default=10, help="windows of the printed curve")
    parser.add_argument("--flags", default="", help="further flags of scripts.main")
    arguments = parser.parse_args()
    readings: list[tuple[int, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reward = untrained_reward_model(folder)
        per_environment = environment_memory(reward)
        print(f"one environment: {per_environment:.2f} MB")
        flags = f"{SETTINGS} {arguments.flags} {reward}"
        for reached in watch(folder, "run", flags, arguments.frames, every=arguments.every):
            memory = {part: own_memory(reached.parts[part]) for part in PARTS}
            if reached.frames < arguments.frames and all(memory.values()):  # not while it ends
                readings.append((reached.frames, memory))
    _report(arguments, readings, per_environment)


def _report(
    arguments: argparse.Namespace,
    readings: list[tuple[int, dict[str, float]]],
    per_environment: float,
) -> None:
    """The curve by window, and its spread after the warm-up."""
    windows: dict[int, list[dict[str, float]]] = {}
    judged = arguments.frames - arguments.warm_up
    for frames, memory in readings:
        if frames > arguments.warm_up:
            window = (frames - arguments.warm_up) * arguments.points // (judged + 1)
            windows.setdefault(min(window, arguments.points - 1), []).append(memory)
    ordered = [windows[number] for number in sorted(windows)]
    if len(ordered) < 2:
        raise SystemExit("too few readings after --warm_up; give more --frames or less --every")
    curves = {
        (part, name): [round(which(memory[part] for memory in window), 1) for window in ordered]
        for part in PARTS
        for name, which in (("least", min), ("greatest", max))
    }
    for (part, name), values in curves.items():
        line = " ".join(f"{value:7.0f}" for value in values)
        print(f"{part:10s} {name:9s} {line}  MB, {100 * spread(values):.1f} % apart")
    settings = {"frames": arguments.frames, "warm_up": arguments.warm_up, "flags": arguments.flags}
    figures = {f"{part} {name}": values for (part, name), values in curves.items()}
    report(
        "training_memory",
        {**settings, "environment_mb": round(per_environment, 2), "megabytes": figures},
        {f"{name} spread": round(spread(values), 4) for name, values in figures.items()},
    )


if __name__ == "__main__":
    main()
