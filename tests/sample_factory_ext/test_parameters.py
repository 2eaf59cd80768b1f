"""RL flags: the release's command line, its defaults, what is refused."""

from __future__ import annotations

import ast
import multiprocessing
import shlex

import pytest

from motif.errors import ConfigError
from sample_factory_ext.parameters import NO_EFFECT, RENAMED, parse_rl_args

README_LINE = """--algo APPO --env nle_fixed_eat_action --num_workers 24
    --num_envs_per_worker 20 --batch_size 4096 --reward_scale 0.1 --obs_scale 255.0
    --train_for_env_steps 2_000_000_000 --save_every_steps 10_000_000
    --keep_checkpoints 5 --stats_avg 1000 --seed 777
    --reward_dir train_dir/reward_saving_dir/standard_reward/
    --experiment standard_motif --train_dir train_dir/rl_saving_dir
    --extrinsic_reward 0.1 --llm_reward 0.1 --reward_encoder nle_torchbeast_encoder
    --root_env NetHackScore-v1 --beta_count_exponent 3 --eps_threshold_quantile 0.5"""


def test_the_line_of_the_release_means_what_it_says():
    cfg = parse_rl_args(shlex.split(README_LINE))
    expected = {
        "algo": "APPO",
        "env": "nle_fixed_eat_action",
        "num_workers": 24,
        "num_envs_per_worker": 20,
        "batch_size": 4096,
        "extrinsic_scale": 0.1,
        "picture_scale": 255.0,
        "train_for_env_steps": 2_000_000_000,
        "save_every_steps": 10_000_000,
        "keep_checkpoints": 5,
        "stats_avg": 1000,
        "seed": 777,
        "reward_dir": "train_dir/reward_saving_dir/standard_reward/",
        "experiment": "standard_motif",
        "train_dir": "train_dir/rl_saving_dir",
        "extrinsic_reward": 0.1,
        "llm_reward": 0.1,
        "reward_encoder": "nle_torchbeast_encoder",
        "root_env": "NetHackScore-v1",
        "beta_count_exponent": 3.0,
        "eps_threshold_quantile": 0.5,
    }
    assert {name: getattr(cfg, name) for name in expected} == expected
    # Sample Factory is to leave rewards and observations alone.
    assert (cfg.reward_scale, cfg.reward_clip, cfg.obs_scale) == (1.0, 1e9, 1.0)


def read_table(text):
    """``name=value`` of each word; a value that is no Python literal is a string."""
    table = {}
    for word in text.split():
        name, _, value = word.partition("=")
        try:
            table[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            table[name] = value
    return table


# The flags of the release's scripts.main and their defaults there, and one of its evaluation's.
RELEASE = read_table("""
    algo=APPO env=nle_fixed_eat_action experiment=default_experiment root_env=NetHackScore-v1
    wandb=False msg_count_bonus=0.0 beta_count_exponent=3.0 eps_threshold_quantile=-0.5
    rew_norm=True checkpoint_num=0 reward_encoder=nle_torchbeast_encoder
    encoder_embedding_dim=128 encoder_hidden_dim=512 encoder_final_activ=ln encoder_crop_dim=16
    encoder_num_layers=2 encoder_msg_model=lt_cnn use_crop=False use_glyphs=False
    use_blstats=False device=gpu extrinsic_reward=1.0 llm_reward=0.0 custom_env_episode_len=400
    save_every_sec=120 save_every_steps=100000000 keep_checkpoints=3 checkpoint_id=-1
    save_milestones_sec=-1 stats_avg=100 learning_rate=0.0001 train_for_env_steps=10000000000
    train_for_seconds=10000000000 obs_subtract_mean=0.0 obs_scale=1.0 pop_bl=True gamma=0.99
    reward_scale=1.0 reward_clip=10.0 encoder_type=conv encoder_subtype=convnet_simple
    encoder_custom=nle_rgbcrop_encoder encoder_extra_fc_layers=1 hidden_size=512
    nonlinearity=elu policy_initialization=orthogonal policy_init_gain=1.0
    actor_critic_share_weights=True use_spectral_norm=False adaptive_stddev=True
    initial_stddev=1.0 experiment_summaries_interval=20 adam_eps=1e-06 adam_beta1=0.9
    adam_beta2=0.999 gae_lambda=0.95 rollout=32 recurrence=32 num_envs_per_worker=2
    worker_num_splits=2 use_rnn=True rnn_type=gru rnn_num_layers=1 ppo_clip_ratio=0.1
    ppo_clip_value=1.0 batch_size=1024 ppo_epochs=1 num_batches_per_iteration=1
    num_minibatches_to_accumulate=-1 max_grad_norm=4.0 exploration_loss_coeff=0.003
    value_loss_coeff=0.5 exploration_loss=entropy num_policies=1 policy_workers_per_policy=1
    max_policy_lag=10000 traj_buffers_excess_ratio=1.3 decorrelate_experience_max_seconds=10
    decorrelate_envs_on_one_worker=True with_vtrace=True vtrace_rho=1.0 vtrace_c=1.0
    set_workers_cpu_affinity=True force_envs_single_thread=True reset_timeout_seconds=120
    default_niceness=0 train_in_background_thread=True learner_main_loop_num_cores=1
    with_pbt=False pbt_mix_policies_in_one_env=True pbt_period_env_steps=5000000
    pbt_start_mutation=20000000 pbt_replace_fraction=0.3 pbt_mutation_rate=0.15
    pbt_replace_reward_gap=0.1 pbt_replace_reward_gap_absolute=1e-06
    pbt_optimize_batch_size=False pbt_target_objective=true_reward use_cpc=False
    cpc_forward_steps=8 cpc_time_subsample=6 cpc_forward_subsample=2 benchmark=False
    sampler_only=False env_framestack=4 pixel_format=CHW save_ttyrec_every=0
    save_dir=dataset_dir/rl_agent continuous_actions_sample=True
""")
WITHOUT_DEFAULT = (  # or with one that depends on the machine
    "num_workers seed env_frameskip render_action_repeat actor_worker_gpus train_dir reward_dir "
    "experiments_root record_to"
)
TRANSLATED = read_table("""
    reward_scale=extrinsic_scale reward_clip=extrinsic_clip obs_scale=picture_scale
    hidden_size=rnn_size ppo_epochs=num_epochs encoder_subtype=encoder_conv_architecture
    wandb=with_wandb num_batches_per_iteration=num_batches_per_epoch
    num_minibatches_to_accumulate=num_batches_to_accumulate
""")
# Defaults that are others here; docs/differences.md says why.
OTHERS = read_table("""
    eps_threshold_quantile=0.5 device=auto save_every_sec=1000000000 encoder_embedding_dim=None
    encoder_hidden_dim=None encoder_msg_model=None experiment_summaries_interval=10
    env_framestack=1 pbt_target_objective=true_objective num_minibatches_to_accumulate=2
    save_dir=
""")
SAME_BUT_IN_NAME = {"pbt_target_objective", "num_minibatches_to_accumulate"}


def test_every_flag_of_the_release_is_accepted_with_its_default_there():
    assert len(RELEASE) + len(WITHOUT_DEFAULT.split()) == 118
    cfg = parse_rl_args([f"--{name}={value}" for name, value in RELEASE.items()])
    for name in set(RELEASE) - set(NO_EFFECT):
        value = OTHERS[name] if name in SAME_BUT_IN_NAME else RELEASE[name]
        assert getattr(cfg, TRANSLATED.get(name, name)) == value, name
    parse_rl_args([f"--{name}=3" for name in WITHOUT_DEFAULT.split()])


def test_defaults_are_the_releases_but_for_those_listed(defaults):
    for name in set(RELEASE) - set(NO_EFFECT):
        expected = OTHERS.get(name, RELEASE[name])
        assert getattr(defaults, TRANSLATED.get(name, name)) == expected, name
    assert defaults.num_workers == multiprocessing.cpu_count()
    assert (defaults.reward_dir, defaults.actor_worker_gpus) == ("", [])


DEFAULTS = {  # those of the paper's runs
    "with_vtrace": True,
    "normalize_input": False,
    "normalize_returns": False,
    "max_policy_lag": 10000,
    "recurrence": 32,
    "rollout": 32,
    "keep_checkpoints": 3,
    "decorrelate_experience_max_seconds": 10,
    "force_envs_single_thread": True,
    "save_every_steps": 100_000_000,
    "rnn_size": 512,
    "encoder_extra_fc_layers": 1,
    "encoder_custom": "nle_rgbcrop_encoder",
    "encoder_conv_architecture": "convnet_simple",
    "num_epochs": 1,
    "num_batches_per_epoch": 1,
    "num_batches_to_accumulate": 2,
    "shuffle_minibatches": False,
    "with_wandb": False,
    "device": "auto",
    "extrinsic_reward": 1.0,
    "llm_reward": 0.0,
    "extrinsic_scale": 1.0,
    "extrinsic_clip": 10.0,
    "picture_scale": 1.0,
    "reward_scale": 1.0,
    "reward_clip": 1e9,
    "obs_scale": 1.0,
    "obs_subtract_mean": 0.0,
    "stats_avg": 100,
    "beta_count_exponent": 3.0,
    "eps_threshold_quantile": 0.5,
    "rew_norm": True,
    "checkpoint_num": 0,
    "value_bootstrap": False,
    "kl_loss_coeff": 0.0,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "learning_rate": 1e-4,
    "lr_schedule": "constant",
    "optimizer": "adam",
    "adam_eps": 1e-6,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "max_grad_norm": 4.0,
    "ppo_clip_ratio": 0.1,
    "ppo_clip_value": 1.0,
    "value_loss_coeff": 0.5,
    "exploration_loss": "entropy",
    "exploration_loss_coeff": 0.003,
    "vtrace_rho": 1.0,
    "vtrace_c": 1.0,
    "use_rnn": True,
    "rnn_type": "gru",
    "rnn_num_layers": 1,
    "nonlinearity": "elu",
    "policy_initialization": "orthogonal",
    "policy_init_gain": 1.0,
    "actor_critic_share_weights": True,
    "async_rl": True,
    "env": "nle_fixed_eat_action",
    "seed": 777,
    "train_dir": "train_dir/rl_saving_dir",
}


@pytest.fixture(scope="module")
def defaults():
    return parse_rl_args([])


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_the_papers(defaults, name):
    assert getattr(defaults, name) == DEFAULTS[name]


def test_only_save_every_steps_saves(defaults):
    assert min(defaults.save_every_sec, defaults.save_best_every_sec) >= 10**9
    assert defaults.save_best_after >= 10**18
    assert defaults.save_milestones_sec == -1


@pytest.mark.parametrize(
    "flag, value, name, expected",
    [
        ("reward_scale", "0.1", "extrinsic_scale", 0.1),
        ("reward_clip", "5", "extrinsic_clip", 5.0),
        ("obs_scale", "255.0", "picture_scale", 255.0),
        ("hidden_size", "256", "rnn_size", 256),
        ("encoder_subtype", "convnet_atari", "encoder_conv_architecture", "convnet_atari"),
        ("ppo_epochs", "2", "num_epochs", 2),
        ("num_batches_per_iteration", "3", "num_batches_per_epoch", 3),
        ("num_minibatches_to_accumulate", "4", "num_batches_to_accumulate", 4),
        ("num_minibatches_to_accumulate", "-1", "num_batches_to_accumulate", 2),
        ("wandb", "True", "with_wandb", True),
    ],
)
@pytest.mark.parametrize("form", ["--{} {}", "--{}={}"])
def test_renamed_flags_land_where_they_should(flag, value, name, expected, form):
    cfg = parse_rl_args(form.format(flag, value).split())
    assert getattr(cfg, name) == expected
    assert cfg.cli_args[name] == expected  # so that it overrides a stored setting on resume
    assert flag in RENAMED


def test_the_objective_of_pbt_goes_by_its_name_there_too():
    cfg = parse_rl_args(["--with_pbt", "True", "--pbt_target_objective", "true_reward"])
    assert cfg.pbt_target_objective == cfg.cli_args["pbt_target_objective"] == "true_objective"
    assert parse_rl_args(["--pbt_target_objective", "dlvl"]).pbt_target_objective == "dlvl"


def test_hyphens_and_underscores_are_the_same():
    cfg = parse_rl_args(["--num-workers", "3", "--reward-scale=0.1", "--llm-reward", "0.0"])
    assert (cfg.num_workers, cfg.extrinsic_scale) == (3, 0.1)


NO_EFFECT_OF_THE_RELEASE = (
    "pop_bl checkpoint_id encoder_final_activ use_spectral_norm use_cpc cpc_forward_steps "
    "cpc_time_subsample cpc_forward_subsample traj_buffers_excess_ratio reset_timeout_seconds "
    "train_in_background_thread learner_main_loop_num_cores sampler_only experiments_root "
    "pbt_optimize_batch_size custom_env_episode_len render_action_repeat record_to "
    "continuous_actions_sample msg_count_bonus encoder_type encoder_crop_dim encoder_num_layers "
    "use_crop use_glyphs use_blstats"
)


@pytest.mark.parametrize("flag", NO_EFFECT_OF_THE_RELEASE.split())
def test_flags_without_effect_are_accepted_with_a_note(flag, capsys):
    parse_rl_args([f"--{flag}", "1"])
    assert f"note: --{flag} has no effect here: {NO_EFFECT[flag]}" in capsys.readouterr().err


def test_no_note_where_there_is_nothing_to_say(capsys):
    parse_rl_args(shlex.split(README_LINE))
    assert capsys.readouterr().err == ""


SAME_NAME = {
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "learning_rate": 3e-4,
    "adam_eps": 1e-7,
    "max_grad_norm": 1.0,
    "ppo_clip_ratio": 0.2,
    "ppo_clip_value": 0.2,
    "value_loss_coeff": 1.0,
    "exploration_loss_coeff": 0.01,
    "vtrace_rho": 2.0,
    "vtrace_c": 2.0,
    "worker_num_splits": 1,
    "policy_workers_per_policy": 2,
    "num_policies": 2,
    "rnn_num_layers": 2,
    "nonlinearity": "relu",
    "policy_initialization": "xavier_uniform",
    "actor_critic_share_weights": False,
    "with_pbt": True,
    "pbt_period_env_steps": 10,
    "pbt_mix_policies_in_one_env": False,
    "env_frameskip": 1,
    "benchmark": False,
    "set_workers_cpu_affinity": False,
    "restart_behavior": "resume",
    "experiment_summaries_interval": 5,
    "checkpoint_num": 30,
    "rew_norm": False,
    "encoder_msg_model": "lt_cnn",
    "encoder_hidden_dim": 512,
    "encoder_embedding_dim": 128,
    "save_ttyrec_every": 5,
    "save_dir": "recordings",
}


@pytest.mark.parametrize("name", SAME_NAME)
def test_flags_of_the_same_name_are_taken_as_they_are(name):
    assert getattr(parse_rl_args([f"--{name}", str(SAME_NAME[name])]), name) == SAME_NAME[name]


@pytest.mark.parametrize("text", ["False", "false", "0", "no", "FALSE"])
def test_false_is_false(text):
    for name in ("rew_norm", "with_vtrace", "use_rnn"):
        assert getattr(parse_rl_args([f"--{name}", text]), name) is False


@pytest.mark.parametrize("text", ["True", "true", "1", "yes"])
def test_true_is_true(text):
    assert parse_rl_args(["--serial_mode", text]).serial_mode is True
    assert parse_rl_args(["--rew_norm", text]).rew_norm is True


@pytest.mark.parametrize(
    "line, message",
    [
        ("--num_workers 0", "--num_workers 0: at least 1"),
        ("--num_envs_per_worker 0", "--num_envs_per_worker 0: at least 1"),
        ("--worker_num_splits 0", "--worker_num_splits 0: at least 1"),
        ("--batch_size 0", "--batch_size 0: at least 1"),
        ("--rollout 0", "--rollout 0: at least 1"),
        ("--train_for_env_steps -5", "--train_for_env_steps -5: at least 1"),
        ("--save_every_steps 0", "--save_every_steps 0: at least 1"),
        ("--keep_checkpoints 0", "--keep_checkpoints 0: at least 1"),
        ("--num_minibatches_to_accumulate 0", "--num_batches_to_accumulate 0: at least 1"),
        ("--obs_scale 0", r"--obs_scale 0\.0: it must be more than 0"),
        ("--eps_threshold_value nan", "--eps_threshold_value nan: a number is needed"),
        ("--reward_clip -1", r"--reward_clip -1\.0: it must be more than 0"),
        ("--algo DQN", "--algo DQN: only APPO"),
        ("--env doom", "--env doom: the one there is is nle_fixed_eat_action"),
        (
            "--encoder_custom mlp",
            "--encoder_custom mlp: there are nle_rgbcrop_encoder, nle_compact_",
        ),
        ("--reward_encoder bert", "--reward_encoder bert: there is nle_torchbeast_encoder"),
        ("--encoder_subtype resnet_impala", "resnet_impala: there are convnet_simple, "),
        ("--batch_size 100", "--batch_size 100 must be a multiple of --rollout 32"),
        ("--rollout 16", "--recurrence 32 must be --rollout 16"),
        ("--num_envs_per_worker 3", "--num_envs_per_worker 3 must be a multiple of"),
        ("--normalize_input True", "--normalize_input and --obs_subtract_mean: the policy reads"),
        ("--obs_subtract_mean 128", "--normalize_input and --obs_subtract_mean: the policy reads"),
        ("--normalize_returns True", "--normalize_returns True: V-trace needs it False"),
        ("--llm_reward 0.1", r"--llm_reward 0\.1 needs --reward_dir"),
        ("--bonus counts", r"--bonus counts and --bonus_reward 0\.0 belong together"),
        ("--bonus_reward 0.5", r"--bonus None and --bonus_reward 0\.5 belong together"),
        ("--bonus counts --bonus_reward -1", r"--bonus_reward -1\.0: a number, 0 or more"),
        ("--bonus counts --bonus_reward nan", "--bonus_reward nan: a number, 0 or more"),
        ("--bonus rnd --bonus_reward inf", "--bonus_reward inf: a number, 0 or more"),
        ("--bonus e3b", r"--bonus e3b and --bonus_reward 0\.0 belong together"),
        (
            "--bonus curiosity --bonus_reward 1",
            "--bonus curiosity: there is counts, rnd, noveld, e3b; your own is named module:Name",
        ),
        ("--bonus_learning_rate 0", r"--bonus_learning_rate 0\.0: it must be more than 0"),
        ("--e3b_ridge nan", "--e3b_ridge nan: it must be more than 0"),
        ("--e3b_features 0", "--e3b_features 0: at least 1"),
        ("--rnd_features -1", "--rnd_features -1: at least 1"),
        ("--noveld_alpha -0.1", r"--noveld_alpha -0\.1: a number, 0 or more"),
        ("--noveld_visits floor", "--noveld_visits floor: there are observation, message, posi"),
    ],
)
def test_values_that_cannot_work(line, message):
    with pytest.raises(ConfigError, match=message):
        parse_rl_args(line.split())


@pytest.mark.parametrize(
    "line, message",
    [
        ("--no_such_flag 1", "unrecognized arguments: --no_such_flag"),
        ("--eps_threshold 0.5", "unrecognized arguments: --eps_threshold"),  # no abbreviations
        ("--num_workers many", "invalid int value: 'many'"),
        ("--rew_norm maybe", "expected True or False, got 'maybe'"),
        ("--with_vtrace maybe", "expected True or False, got 'maybe'"),
        ("--device tpu", "invalid choice: 'tpu'"),
    ],
)
def test_malformed_lines_end_with_argparses_message(line, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_rl_args(line.split())
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_help_lists_our_flags_and_the_papers_defaults(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_rl_args(["--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--eps_threshold_quantile" in text
    assert "the same as --extrinsic_scale on our command line" in text
    assert "no effect: Sample Factory 2 has no such option" in text


def test_onis_values_are_a_preset():
    line = "--online retrieval --online_preset oni --backend openai"
    score = parse_rl_args(line.split())
    assert (score.llm_reward, score.extrinsic_reward, score.temperature) == (0.4, 0.1, 0.1)
    assert score.model == "meta-llama/Llama-3.1-8B-Instruct" and score.beta_count_exponent == 3
    line += " --root_env NetHackOracle-v1 --llm_reward 0.2 --model mine"
    oracle = parse_rl_args(line.split())
    assert (oracle.llm_reward, oracle.extrinsic_reward, oracle.model) == (0.2, 10.0, "mine")
    assert oracle.cli_args["extrinsic_reward"] == 10.0  # kept when the run goes on
