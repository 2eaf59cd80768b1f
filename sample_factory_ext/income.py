"""Play with several policies of a run, to see which messages paid their intrinsic reward."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from sample_factory.utils.attr_dict import AttrDict
from tqdm import tqdm

from motif.device import resolve_device
from motif.errors import CheckpointError
from motif.games.game import find_game, open_game
from motif.messages import decode
from motif.play.rollout import Episode, play_to_end
from motif.results.income import INCOME_FILE, Income, top_messages, write_income
from sample_factory_ext.environment import add_intrinsic_reward
from sample_factory_ext.player import CheckpointPlayer
from sample_factory_ext.run_folder import policy_checkpoints, read_run_config

SEED = 777


def play_for_income(
    run_folder: Path,
    *,
    games: int,
    policies: int,
    reward_dir: str | None = None,
    device: str = "cpu",
) -> list[Income]:
    """Play ``games`` with each of up to ``policies`` checkpoints, evenly spaced, first and last in.

    Writes ``messages_paid.json`` into the run folder. A run without intrinsic reward is played
    with that of ``reward_dir``, at weight 1: what the agent would be paid.

    Raises:
        CheckpointError: no policy or no reward model, or a damaged one.
    """
    cfg = rewarded_settings(run_folder, reward_dir)
    if not cfg.llm_reward:
        raise CheckpointError(
            f"{run_folder} was trained without the intrinsic reward; name one: --reward_dir DIR"
        )
    # None: the player says what is missing.
    steps: list[int | None] = [*policy_checkpoints(run_folder)] or [None]
    chosen = np.unique(np.linspace(0, len(steps) - 1, policies).round().astype(int))
    game = find_game(cfg.game)
    env = add_intrinsic_reward(open_game(game, cfg.root_env, cfg.caption), cfg)
    incomes = []
    try:
        with tqdm(total=len(chosen) * games, unit="game", desc="playing") as bar:
            for index in chosen:
                player = CheckpointPlayer(run_folder, resolve_device(device), steps[index])
                played = []
                for number in range(games):
                    seed = SEED + number
                    played.append(play_to_end(game, env, player, seed))
                    bar.update()
                incomes.append(sum_up(player.env_steps, played))
    finally:
        env.close()  # type: ignore[no-untyped-call]
    settings = {"games": games, "reward_dir": cfg.reward_dir, "root_env": cfg.root_env}
    write_income(run_folder / INCOME_FILE, settings, incomes)
    return incomes


def rewarded_settings(
    run_folder: Path, reward_dir: str | None, checkpoint_num: int = 0
) -> AttrDict:
    """A run's settings, with the reward model of ``reward_dir`` in the place of its own."""
    cfg = AttrDict(read_run_config(run_folder))
    if cfg.online and not reward_dir:
        reward_dir = str(run_folder / "online" / "reward")
    if reward_dir:
        cfg.online = ""
        cfg.reward_dir, cfg.checkpoint_num = reward_dir, checkpoint_num
        cfg.llm_reward = cfg.llm_reward or 1.0
    return cfg


def sum_up(env_steps: int, played: list[Episode]) -> Income:
    """The games of one policy together."""
    seen: Counter[str] = Counter()
    paid: dict[str, float] = defaultdict(float)
    for episode in played:
        for message, count in episode.seen.items():
            seen[decode(message)] += count
        for message, value in episode.income.items():
            paid[decode(message)] += value
    return Income(
        env_steps=env_steps,
        games=len(played),
        steps=sum(episode.length for episode in played),
        game_return=float(np.mean([episode.game_return for episode in played])),
        intrinsic_return=float(np.mean([episode.intrinsic_return for episode in played])),
        paid=sum(value for value in paid.values() if value > 0),
        messages=top_messages(seen, paid),
    )
