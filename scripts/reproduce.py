"""The experiment: what does the learnt reward do, against what else, and whose labels?

    python -m scripts.reproduce                             # or: make reproduce
    python -m scripts.reproduce --subset score --frames 2000000 --seeds 5
    python -m scripts.reproduce --subset score --arms motif counts
    python -m scripts.reproduce --directory runs/trial --small True

Seven questions (docs/experiment.md has the plan): score, sparse, judges, labels, steering, balance,
online; primary is the part of score to have more seeds of. The shipped dataset is unpacked and a
reward model trained for each label set that is asked about; then come the training runs, one seed
of everything after the other; then all policies of a task play the same games. Each command is
printed before it is run, what is done is kept, and the same command goes on where it was stopped;
with more --seeds or another --subset it adds to what is there. What a folder of --others has is not
made again: another machine may take --first_seed 4 --seeds 2 of five. In the end: runs.csv (a row a
run), summary.csv (means over seeds, 95 % intervals), motif_results.pkl and figures.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from motif.cli import option, parse_config, run
from motif.errors import ConfigError
from motif.pipeline import Records, Stage, run_stages
from motif.play.games_file import GAMES, read_games
from motif.results.curves import write_csv
from motif.results.evaluation import draw_players
from motif.results.experiment import RATES, Games, games_of, means, over_seeds, rows_of_summary

SCORE = "NetHackScore-v1"
RATED = "Qwen2.5-Coder-1.5B-Instruct_msg_{}_rating"
LABELS = {  # name of a reward model → the label set that it learns from, and flags
    "llm": RATED.format("defaultgoal"),
    "rules": "rules_msg_defaultgoal",
    "gold_rules": "rules_msg_gold",
    "small": "Qwen2.5-Coder-0.5B-Instruct_msg_defaultgoal_rating",
    "smallest": "SmolLM2-135M-Instruct_msg_defaultgoal_rating",
    "reworded": f"{RATED.format('defaultgoal')}_reworded",
    "tenth": f"{RATED.format('defaultgoal')} --label_share 0.1",
    "turned": f"{RATED.format('defaultgoal')} --label_noise 0.2",
    **{goal: RATED.format(goal) for goal in ("zeroknowledge", "gold", "combat", "stairs")},
}


@dataclass(frozen=True)
class Arm:
    """What is compared: the parts that the agent's reward is made of."""

    task_reward: bool  # whether the task's own is one of them
    reward: str = ""  # one of LABELS; empty: no learnt reward
    flags: str = ""

    def line(self, task: str) -> str:
        """Its flags of ``scripts.main``; the task's coefficients are the paper's."""
        extrinsic = (0.1 if task == SCORE else 10.0) * self.task_reward
        learnt = "0.1 --reward_dir {root}/reward/" + self.reward if self.reward else "0.0"
        return f" --extrinsic_reward {extrinsic} --llm_reward {learnt} {self.flags}"


BONUS = "--bonus {} --bonus_reward {}"
QUANTILE = "--eps_threshold_quantile {}"
VALUE = "--eps_threshold_value {}"
LABEL_CHANGES = ("reworded", "zeroknowledge", "tenth", "turned")
ARMS = {
    "extrinsic_only": Arm(True),
    "motif": Arm(True, "llm"),
    "intrinsic_only": Arm(False, "llm"),
    "counts_only": Arm(False, "", BONUS.format("counts", 0.1)),
    "counts": Arm(True, "", BONUS.format("counts", 0.1)),
    # Pays each step: 0.1 drowned the task's reward, which is its score times 0.1 twice.
    **{name: Arm(True, "", BONUS.format(name, 0.001)) for name in ("rnd", "e3b")},
    **{f"motif_{name}": Arm(True, name) for name in ("small", "smallest", "rules", *LABEL_CHANGES)},
    **{f"{goal}_only": Arm(False, goal) for goal in ("gold", "combat", "stairs")},
    **{f"{goal}_only_0.95": Arm(False, goal, QUANTILE.format(0.95)) for goal in ("gold", "combat")},
    # Above these values lie the taking of gold alone, and "You descend the stairs." alone.
    "gold_only_rules_1.5": Arm(False, "gold_rules", VALUE.format(1.5)),
    "stairs_only_2.3": Arm(False, "stairs", VALUE.format(2.3)),
    # Of two values for a flag the last one counts.
    **{f"llm_reward_{x}": Arm(True, "llm", f"--llm_reward {x}") for x in (0.03, 0.3, 1.0)},
    **{f"quantile_{x}": Arm(True, "llm", QUANTILE.format(x)) for x in (0.2, 0.8, 0.95)},
    **{f"exponent_{x}": Arm(True, "llm", f"--beta_count_exponent {x}") for x in (0, 1)},
    "online": Arm(True, "", "--llm_reward 0.1 --online ranking"),
}
MAIN = ("extrinsic_only", "motif", "intrinsic_only")
SPARSE = ("Staircase", "StaircaseLvl3", "StaircaseLvl3Continual", "Oracle", "OracleSober")
QUESTIONS: dict[str, tuple[Sequence[str], Sequence[str]]] = {  # tasks, arms
    "score": ((SCORE,), (*MAIN, "counts_only", "counts", "rnd", "e3b")),
    "sparse": ([f"NetHack{name}-v1" for name in SPARSE], MAIN),
    "judges": ((SCORE,), ("motif", *(f"motif_{name}" for name in ("small", "smallest", "rules")))),
    "labels": ((SCORE,), ("motif", *(f"motif_{name}" for name in LABEL_CHANGES))),
    "steering": (
        (SCORE,),
        ("intrinsic_only", *(n for n in ARMS if n[:4] in ("gold", "comb", "stai"))),
    ),
    "balance": ((SCORE,), ("motif", *(n for n in ARMS if n[:4] in ("llm_", "quan", "expo")))),
    "online": ((SCORE,), ("extrinsic_only", "motif_rules", "motif_small", "online")),
    "primary": ((SCORE,), MAIN),  # of the score's arms those to have more --seeds of
}
MEASURES = (
    *("return", "success", "score", "deepest", "gold", "xlvl", "kills a monster", "length"),
    *("progression", *RATES),
)

UNPACK = "unpack_dataset --directory {root}"
COLLECT = "collect_pairs_dataset --directory {dataset} --num_pairs 400"
ANNOTATE = "annotate_pairs_dataset --directory {dataset} --annotator_type rules --goal_key {goal}"
REWARD = (
    "train_reward --dataset_dir {dataset} --train_dir {root}/reward "
    "--experiment {name} --batch_size 256 --reward_lr 0.001 --num_epochs 8 --seed 777 --annotator "
)
AGENT = (  # the compact policy, the same settings for every arm
    "main --algo APPO --env nle_fixed_eat_action --encoder_custom nle_compact_encoder "
    "--hidden_size 256 --learning_rate 3e-4 --num_workers 2 --num_envs_per_worker 32 "
    "--worker_num_splits 1 --batch_size 1024 "
    "--reward_scale 0.1 --obs_scale 255.0 --beta_count_exponent 3 --eps_threshold_quantile 0.5 "
    "--save_every_steps 1000000 --keep_checkpoints 20 --root_env {task} "
    "--train_for_env_steps {frames} --seed {seed} --train_dir {root}/rl --experiment {name}"
)
EVALUATE = "evaluate --output {root}/evaluation/{task} --games {games}"
CURVES = "collect_results --output {root}/motif_results.pkl --csv_dir {root}/curves --run"
PLOTS = (
    "plot_results --results {root}/motif_results.pkl --output_dir {root}/plots --aggregates False"
)
SMALL_REWARD = " --num_epochs 2"
SMALL_AGENT = (
    " --num_workers 1 --num_envs_per_worker 4 --batch_size 256 --train_for_env_steps 2048 "
    "--decorrelate_experience_max_seconds 0"
)


@dataclass(frozen=True)
class ReproduceConfig:
    """Which questions, where, how long."""

    directory: Path = option(Path("runs/experiment"), "folder of everything that is made")
    subset: Sequence[str] = option(tuple(QUESTIONS), "questions to ask", nargs="+", type=str)
    arms: Sequence[str] = option((), "only these of their arms; default: all", nargs="+", type=str)
    dataset: Path | None = option(None, "a dataset with the label sets; default: the shipped one")
    frames: int = option(10_000_000, "environment steps of each training run")
    seeds: int = option(3, "training runs of each arm")
    first_seed: int = option(1, "seed of the first of them; the next ones count on from it")
    others: Sequence[Path] = option(
        (), "folders of runs that were made elsewhere, and are not made here", nargs="+", type=Path
    )
    games: int = option(200, "games that each policy plays afterwards")
    agent_flags: str = option("", 'for every training run, as "--num_workers 16 --device gpu"')
    judge: str = option("--annotator-type rules", "flags of stage 1 for labels made while training")
    small: bool = option(False, "a trial of every stage, too short to learn anything")

    def __post_init__(self) -> None:
        for question in self.subset:
            if question not in QUESTIONS:
                raise ConfigError(f"--subset {question}: there are {', '.join(QUESTIONS)}")
        asked = list(dict.fromkeys(arm for name in self.subset for arm in QUESTIONS[name][1]))
        for arm in self.arms:
            if arm not in asked:
                raise ConfigError(f"--arms {arm}: these questions have {', '.join(asked)}")
        for name in ("frames", "seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        if self.first_seed < 0:
            raise ConfigError(f"--first_seed {self.first_seed}: at least 0 is needed")
        for name in ("agent_flags", "judge"):
            try:
                shlex.split(getattr(self, name))
            except ValueError as error:
                raise ConfigError(f"--{name} {getattr(self, name)}: {error}") from None
        for other in self.others:
            if not (other / "rl").is_dir():
                raise ConfigError(f"--others {other}: there is no folder rl with runs in it")


@dataclass(frozen=True)
class Planned:
    """One training run."""

    task: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Its folder's."""
        return f"{self.task}_{self.arm}_{self.seed}"


def planned_runs(config: ReproduceConfig) -> list[Planned]:
    """Every training run once, one seed of all arms after the other."""
    every = [
        Planned(task, arm, seed)
        for seed in range(config.first_seed, config.first_seed + config.seeds)
        for tasks, arms in (QUESTIONS[question] for question in config.subset)
        for task in tasks
        for arm in arms
        if arm in (config.arms or arms)
    ]
    return list(dict.fromkeys(every))


def folder_of(config: ReproduceConfig, one: Planned) -> Path:
    """The experiment that has the run, or is to make it: this one, or one made elsewhere."""
    for folder in (config.directory, *config.others):
        if (folder / "rl" / one.name / "episodes.csv").is_file():
            return folder
    return config.directory


def make_stages(config: ReproduceConfig) -> Iterator[Stage]:
    """All commands in order."""
    root, runs, small = config.directory, planned_runs(config), config.small
    own = [one for one in runs if folder_of(config, one) == root]
    rewards = dict.fromkeys(ARMS[one.arm].reward for one in own if ARMS[one.arm].reward)
    dataset = config.dataset or root / "motif_dataset"
    where = {"root": root, "dataset": dataset, "frames": config.frames, "games": config.games}
    if rewards and config.dataset is None:
        name, line = ("collect", COLLECT) if small else ("unpack", UNPACK)
        yield Stage.row(name, line, dataset / "data", where)
    for reward in rewards:
        words, learns = {**where, "name": reward}, LABELS[reward]
        if small and config.dataset is None:  # the shipped labels are of the shipped dataset
            goal = reward if reward in learns.split("_") else "defaultgoal"
            learns = f"rules_msg_{goal}"
            labels = dataset / "preference" / f"{learns}.npy"
            yield Stage.row(f"annotate_{reward}", ANNOTATE, labels, {**words, "goal": goal})
        made = root / "reward" / reward / "val_metrics.csv"
        yield Stage.row(f"reward_{reward}", REWARD + learns + SMALL_REWARD * small, made, words)
    for one in own:
        line = AGENT + ARMS[one.arm].line(one.task) + SMALL_AGENT * small
        given = config.judge * ("--online" in line) + f" {config.agent_flags}"
        made = root / "rl" / one.name / "episodes.csv"
        words = {**where, **asdict(one), "name": one.name}
        yield Stage.row(one.name, line, made, words, given=given)
    for task in dict.fromkeys(one.task for one in own):
        players = " ".join(str(root / "rl" / one.name) for one in own if one.task == task)
        made = root / "evaluation" / task / GAMES
        words = {**where, "task": task}
        yield Stage.row(f"evaluate_{task}", f"{EVALUATE} {players}", made, words, True)
    compared = "".join(f" {one.arm}={folder_of(config, one) / 'rl' / one.name}" for one in runs)
    yield Stage.row("curves", CURVES + compared, root / "motif_results.pkl", where, True)
    yield Stage.row("plots", PLOTS, root / "plots", where, True)


def reproduce(config: ReproduceConfig) -> int:
    """Run what is not done, with results and figures, then write the tables."""
    records = Records(config.directory / "stages.json")
    if status := run_stages(list(make_stages(config)), records):
        return status
    write_tables(config)
    return 0


def write_tables(config: ReproduceConfig) -> None:
    """``runs.csv``, ``summary.csv``, and for each question and task a figure of its arms."""
    root = config.directory
    games = {one: _games(folder_of(config, one), one) for one in planned_runs(config)}
    runs = [
        {**asdict(one), **{name: round(mean, 4) for name, mean in means(played).items()}}
        for one, played in games.items()
    ]
    arms: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for task, arm in dict.fromkeys((one.task, one.arm) for one in games):
        seeds = [played for one, played in games.items() if (one.task, one.arm) == (task, arm)]
        of = over_seeds(seeds)
        arms.setdefault(task, {})[arm] = {name: of[name] for name in MEASURES if name in of}
    columns = ["task", "arm", "seed", *MEASURES]
    write_csv(root / "runs.csv", columns, ([row.get(c, "") for c in columns] for row in runs))
    summary = [row for task in arms for row in rows_of_summary(task, arms[task], MEASURES)]
    write_csv(root / "summary.csv", list(summary[0]), (row.values() for row in summary))
    for row in summary:
        interval = f"({row['return low']} to {row['return high']})"
        print(f"{row['task']:28} {row['arm']:20} return {row['return']} {interval}")
    for question in config.subset:
        tasks, names = QUESTIONS[question]
        for task in tasks:
            if shown := {n: {"measures": arms[task][n]} for n in names if n in arms[task]}:
                draw_players(root / "plots" / f"{question}_{task}.png", {"players": shown})
    print(f"written to {root}: runs.csv, summary.csv, plots, motif_results.pkl")


def _games(root: Path, one: Planned) -> Games:
    """Those of its evaluation, in which it goes by the path that it then had."""
    path = root / "evaluation" / one.task / GAMES
    for player, rows in groupby(read_games(path), key=lambda row: row["player"]):
        if Path(player).name == one.name:
            return games_of(list(rows), player)
    raise ConfigError(f"{path} has no games of {one.name}; scripts.reproduce makes it there")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(ReproduceConfig, argv, __doc__)
    return run(lambda: reproduce(config))


if __name__ == "__main__":
    sys.exit(main())
