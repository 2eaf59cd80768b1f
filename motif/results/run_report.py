"""The report on a run: what is read, what is scored, and the page it comes to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motif import messages
from motif.cli import option
from motif.device import DeviceName, resolve_device
from motif.errors import CheckpointError, ConfigError, PreferenceError
from motif.messages import printable
from motif.pairs_dataset import PairsDataset
from motif.results.income import INCOME_FILE, Income, read_income
from motif.results.online_section import online_section, read_history
from motif.results.page import write_page
from motif.results.reward_sections import RewardView, reward_sections
from motif.results.run_sections import run_sections
from motif.results.runs import Run, read_run
from motif.reward.checkpoint import LoadedReward, load_reward_model
from motif.reward.held_out import HeldOutResult, evaluate_held_out


@dataclass(frozen=True)
class ReportConfig:
    """What the page is about."""

    run: Path = option(Path("train_dir/rl_saving_dir/standard_motif"), "folder of the RL run")
    compare: Sequence[Path] = option((), "other RL runs to draw beside it", nargs="*", type=Path)
    reward_dir: Sequence[str] = option(
        (), "reward models, side by side; without it the run's own", nargs="*", type=str
    )
    dataset: str | None = option(
        None, "pairs dataset: how common messages are, agreement; default: the reward model's"
    )
    play: int = option(0, "play so many games with each policy, to see which messages pay")
    policies: int = option(5, "play with so many checkpoints, evenly spaced")
    device: DeviceName = option("auto", "of the models; auto: the GPU if there is one")
    output: Path | None = option(None, "the page; default: report.html in the run folder")

    def __post_init__(self) -> None:
        if self.play < 0:
            raise ConfigError(f"--play {self.play}: games, 0 or more")
        if self.policies < 2:
            raise ConfigError(f"--policies {self.policies}: 2 or more, an early and a late one")


def write_report(config: ReportConfig, play: Callable[[ReportConfig], list[Income]]) -> Path:
    """Write the page; its path.

    Args:
        play: plays with the run's policies, as ``config`` has it, where games are asked for.

    Raises:
        MotifError: a run, a reward model, the dataset or the device is missing or damaged.
    """
    resolve_device(config.device)
    main_run = read_run(config.run)
    runs = _distinct([main_run, *map(read_run, config.compare)], [config.run, *config.compare])
    views, agreement = _reward_views(config, main_run)
    incomes = play(config) if config.play else read_income(config.run / INCOME_FILE)
    sections = run_sections(runs[0], runs[1:], incomes) + reward_sections(views, agreement)
    if history := read_history(config.run):
        sections.insert(2, online_section(history))
    path = config.output or config.run / "report.html"
    about = f"{main_run.task}, {main_run.steps:,} environment steps, {main_run.network}"
    write_page(path, f"Motif: {runs[0].name}", f"{about}; {config.run}", sections)
    return path


def _distinct(runs: Sequence[Run], folders: Sequence[Path]) -> list[Run]:
    """Runs of one name get their folder's path as name."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return list(runs)
    return [Run(str(path), run.config, run.episodes) for run, path in zip(runs, folders)]


def _reward_views(
    config: ReportConfig, main_run: Run
) -> tuple[list[RewardView], HeldOutResult | None]:
    """The reward models, on the messages of the dataset or, without one, on their training's."""
    own = main_run.config.get("reward_dir") if main_run.config.get("llm_reward") else None
    own = str(config.run / "online" / "reward") if main_run.config.get("online") else own
    folders = list(config.reward_dir) or ([own] if own else [])
    if not folders:
        return [], None
    loaded = [load_reward_model(folder, device=resolve_device(config.device)) for folder in folders]
    for model in loaded:
        if model.config.get("use_blstats"):
            raise CheckpointError(
                f"{model.path} reads the status line beside the message: a message alone has no "
                "reward; name another with --reward_dir"
            )
    trained_on = loaded[0].config.get("dataset_dir")
    if not (trained_on and Path(trained_on, "data").is_dir()):  # it may be gone, or elsewhere
        trained_on = None
    named = config.dataset or trained_on
    dataset = PairsDataset(named) if named else None
    if dataset is not None:
        distinct, index = messages.unique(dataset.messages)
        counts = np.bincount(index.ravel(), minlength=len(distinct))
    else:
        distinct, counts = loaded[0].train_messages, None
    if not len(distinct):
        raise CheckpointError(
            f"{loaded[0].path} holds no messages, like every imported or exported model; name a "
            "dataset: --dataset DIR"
        )
    quantile = float(main_run.config.get("eps_threshold_quantile", 0.5))
    value = main_run.config.get("eps_threshold_value")
    views = [
        RewardView(
            name=Path(folder).name,
            texts=[messages.decode(message) for message in distinct],
            kinds=main_run.game.kinds,
            rewards_U=model.score(distinct).astype(np.float64),
            mean=model.mean,
            deviation=model.variance**0.5,
            threshold=model.threshold(quantile, value),
            quantile=quantile if value is None else None,
            counts_U=counts,
        )
        for folder, model in zip(folders, loaded)
    ]
    return views, None if dataset is None else _agreement(loaded[0], dataset)


def _agreement(loaded: LoadedReward, dataset: PairsDataset) -> HeldOutResult | None:
    """Agreement on held-out pairs; None, said on stderr, if none is known to be held out."""
    try:
        return evaluate_held_out(loaded, dataset.directory)
    except (CheckpointError, PreferenceError) as error:
        print(f"without agreement with labels: {printable(str(error))}", file=sys.stderr)
        return None
