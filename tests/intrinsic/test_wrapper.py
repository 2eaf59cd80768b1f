"""The intrinsic reward: formulas by hand, timing and counts on scripted episodes."""

from __future__ import annotations

import inspect
import textwrap

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.errors import ConfigError
from motif.intrinsic import wrapper
from motif.intrinsic.terms import (
    LearntReward,
    MessageCounts,
    MessageRewards,
    make_bonus,
    shape_intrinsic_reward,
)
from motif.intrinsic.wrapper import (
    IntrinsicReward,
    combine_rewards,
    message_of,
    score_together,
)
from motif.messages import encode

RECIPE = {"extrinsic_reward": 0.1, "llm_reward": 0.1, "reward_scale": 0.1}


# Formulas


@pytest.mark.parametrize(
    "reward, count, expected",
    [
        (2.0, 1, 2.0),
        (2.0, 2, 0.25),
        (2.0, 3, 2 / 27),
        (0.5, 1, 0.0),  # at the threshold: strictly greater counts
        (0.5000001, 1, 0.5000001),
        (0.6, 5, 0.6 / 125),  # the threshold comes before the count
        (-3.0, 1, 0.0),
    ],
)
def test_shaping_by_hand(reward, count, expected):
    shaped = shape_intrinsic_reward(reward, count, threshold=0.5, count_exponent=3)
    assert shaped == pytest.approx(expected, abs=0)


def test_without_threshold_negative_rewards_pass():
    no_threshold = {"threshold": float("-inf"), "count_exponent": 3.0}
    assert shape_intrinsic_reward(-2.0, 2, **no_threshold) == -0.25
    assert shape_intrinsic_reward(-2.0, 9, threshold=-5.0, count_exponent=0.0) == -2.0


@pytest.mark.parametrize(
    "extrinsic, intrinsic, coefficients, expected",
    [
        (50.0, 0.0, RECIPE | {"extrinsic_reward": 10.0}, 50.0),  # a success of a sparse task
        (1.0, 0.0, RECIPE, 0.01),  # a score point
        (50.0, 0.0, RECIPE, 0.5),
        (1000.0, 0.0, RECIPE, 1.0),  # 0.1 · clip(100, 10)
        (-1000.0, 0.0, RECIPE, -1.0),
        (0.0, 400.0, RECIPE, 40.0),  # the intrinsic part is never clipped
        (1000.0, 400.0, RECIPE, 41.0),
        (-0.01, 1.5, RECIPE, 0.1499),
        (7.0, 3.0, {"extrinsic_reward": 1.0, "llm_reward": 0.0, "reward_scale": 1.0}, 7.0),
        (7.0, 3.0, {"extrinsic_reward": 0.0, "llm_reward": 0.1, "reward_scale": 1.0}, 0.3),
        (7.0, 0.0, {**RECIPE, "reward_scale": 1.0, "reward_clip": 5.0}, 0.5),
    ],
)
def test_combining_by_hand(extrinsic, intrinsic, coefficients, expected):
    combined = combine_rewards(extrinsic, intrinsic, **coefficients)
    assert combined == pytest.approx(expected)


REWARDS = st.floats(-1e3, 1e3).filter(lambda reward: reward == 0 or abs(reward) > 1e-200)


@given(REWARDS, st.floats(-1e3, 1e3), st.integers(1, 1000), st.floats(0, 4))
def test_a_repeated_message_never_earns_more(reward, threshold, count, exponent):
    settings = {"threshold": threshold, "count_exponent": exponent}
    first = shape_intrinsic_reward(reward, count, **settings)
    again = shape_intrinsic_reward(reward, count + 1, **settings)
    assert abs(again) <= abs(first) <= abs(reward)
    assert (first == 0) == (reward <= threshold or reward == 0)


@given(st.floats(-1e4, 1e4), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_the_parts_add_up(extrinsic, intrinsic, other):
    first, second = (combine_rewards(extrinsic, value, **RECIPE) for value in (intrinsic, other))
    assert first - second == pytest.approx(0.1 * (intrinsic - other), abs=1e-9)
    assert abs(first - 0.1 * intrinsic) <= 1.0 + 1e-9


# The memo


class Scorer:
    """Rewards by text, and what it was asked."""

    def __init__(self, **rewards):
        self.rewards, self.asked = rewards, []

    def __call__(self, messages_UC):
        texts = [bytes(row).rstrip(b"\0").decode("latin-1") for row in messages_UC]
        self.asked += texts
        return np.array([self.rewards.get(text, 0.0) for text in texts], np.float32)


def raw(text):
    return encode(text).tobytes()


def test_a_message_is_scored_once():
    scorer = Scorer(gold=2.5)
    rewards = MessageRewards(scorer)
    assert [rewards[raw("gold")], rewards[raw("gold")], rewards[raw("")]] == [2.5, 2.5, 0.0]
    assert scorer.asked == ["gold", ""]


def test_known_messages_are_not_scored():
    scorer = Scorer()
    known = np.stack([encode("gold"), encode("")]), np.array([1.5, -1.0], np.float32)
    rewards = MessageRewards(scorer, known)
    assert (rewards[raw("gold")], rewards[raw("")]) == (1.5, -1.0)
    assert scorer.asked == []


def test_the_memo_is_bounded_beyond_what_is_known():
    scorer = Scorer()
    known = np.stack([encode("known")]), np.array([1.0], np.float32)
    rewards = MessageRewards(scorer, known, limit=2)
    for text in ("a", "b", "c", "a", "b", "c", "c", "known"):
        assert rewards[raw(text)] == (1.0 if text == "known" else 0.0)
    assert scorer.asked == ["a", "b", "c", "c", "c"]


def test_what_several_games_meet_first_is_scored_in_one_call():
    calls = []

    def score(messages_UC):
        calls.append(len(messages_UC))
        return messages_UC.astype(np.float32).sum(axis=1)

    rewards = MessageRewards(score, limit=3)
    games = [IntrinsicReward(gymnasium.Env(), LearntReward(rewards)) for _ in range(5)]
    results = [({"message": text}, 0.0, False, False, {}) for text in ("a", "b", "a", "c", "d")]
    score_together(games, results)
    assert calls == [3] and len(rewards) == 3  # "d" is beyond the limit
    paid = [game.after(game.after(r))[4]["intrinsic_reward"] for game, r in zip(games, results)]
    assert paid == [97.0, 98.0, 97.0, 99.0, 100.0] and calls == [3, 1, 1]
    score_together([IntrinsicReward(gymnasium.Env(), MessageCounts())], results[:1])
    assert calls == [3, 1, 1]


@given(st.binary(max_size=256))
def test_any_bytes_can_be_scored(message):
    message = message.ljust(256, b"\0")
    rewards = MessageRewards(lambda messages_UC: messages_UC.astype(np.float64).sum(axis=1))
    assert rewards[message] == sum(message)


# The wrapper


class Episodes(gymnasium.Env):
    """Observes scripted messages, an episode after the other; the n-th step pays n."""

    def __init__(self, *episodes):
        self.episodes = iter(episodes)
        self.buffer = np.zeros(256, np.uint8)  # reused, as NLE does

    def reset(self, *, seed=None, options=None):
        self.messages, self.steps = iter(next(self.episodes)), 0
        return self._observe(), {"seed": seed}

    def step(self, action):
        self.steps += 1
        observation = self._observe()
        return observation, float(self.steps), self.steps == 4, False, {"action": action}

    def _observe(self):
        self.buffer[:] = encode(next(self.messages))
        return {"message": self.buffer}


TIMING = {"reward_scale": 1.0, "extrinsic_reward": 0.0}


def learnt(**rewards):
    return LearntReward(MessageRewards(Scorer(**rewards)), threshold=0.5, count_exponent=3.0)


def play(env, **settings):
    """What each of 4 steps paid as intrinsic reward, by the reward itself and by info."""
    env.reset(**settings)
    steps = [env.step(0) for _ in range(4)]
    assert [step[4]["extrinsic_reward"] for step in steps] == [1.0, 2.0, 3.0, 4.0]
    assert [step[1] for step in steps] == pytest.approx(
        [step[4]["intrinsic_reward"] for step in steps]
    )
    return [step[4]["intrinsic_reward"] for step in steps]


def test_a_message_is_paid_by_the_step_after_it_and_the_last_one_never():
    term = learnt(reset=1.0, one=2.0, two=4.0, three=8.0, last=1000.0)
    env = IntrinsicReward(
        Episodes(["reset", "one", "two", "three", "last"]), term, llm_reward=1.0, **TIMING
    )
    assert play(env) == [1.0, 2.0, 4.0, 8.0]


def test_counts_include_the_reset_and_empty_messages_and_restart_with_the_episode():
    episode = ["gold", "gold", "", "gold", ""]
    term = learnt(gold=27.0, **{"": 8.0})
    env = IntrinsicReward(Episodes(episode, episode), term, llm_reward=1.0, **TIMING)
    for _ in range(2):
        assert play(env) == [27.0, 27.0 / 8, 8.0, 1.0]


def test_an_unfinished_episode_leaves_nothing_behind():
    term = learnt(gold=8.0, other=1.0)
    env = IntrinsicReward(
        Episodes(["gold"] * 3, ["other", "gold", "x", "x", "x"]), term, llm_reward=1.0, **TIMING
    )
    env.reset()
    env.step(0)
    assert play(env) == [1.0, 8.0, 0.0, 0.0]


def test_exactly_the_same_bytes_count_as_the_same_message():
    term = learnt(café=8.0, cafe=1.0)
    episode = ["caf\xe9", "cafe", "caf\xe9 ", "caf\xe9", ""]
    env = IntrinsicReward(Episodes(episode), term, llm_reward=1.0, **TIMING)
    assert play(env) == [8.0, 1.0, 0.0, 1.0]


def test_without_rewards_only_the_task_pays():
    env = IntrinsicReward(Episodes(["a"] * 5), None, extrinsic_reward=2.0, reward_scale=0.5)
    env.reset()
    steps = [env.step(0) for _ in range(4)]
    assert [step[1] for step in steps] == [1.0, 2.0, 3.0, 4.0]
    assert {step[4]["intrinsic_reward"] for step in steps} == {0.0}


def test_counts_pay_every_message_alike():
    env = IntrinsicReward(
        Episodes(["a", "b", "a", "a", "b"]), MessageCounts(), llm_reward=1.0, **TIMING
    )
    assert play(env) == [1.0, 1.0, 1 / 8, 1 / 27]


def test_a_bonus_is_paid_beside_the_term():
    env = IntrinsicReward(
        Episodes(["gold", "x", "gold", "x", "x"]),
        learnt(gold=8.0),
        llm_reward=0.5,
        bonus=make_bonus("counts", 1.0),
        bonus_reward=0.25,
        extrinsic_reward=2.0,
    )
    for _ in range(2):
        env.unwrapped.episodes = iter([["gold", "x", "gold", "x", "x"]])
        env.reset()
        steps = [env.step(0) for _ in range(4)]
        parts = [step[4]["intrinsic_part"] for step in steps]
        assert parts == [4.0 + 0.25, 0.25, 0.5 + 0.125, 0.125]
        assert [step[1] - part for step, part in zip(steps, parts)] == [2.0, 4.0, 6.0, 8.0]
        assert [step[4]["intrinsic_reward"] for step in steps] == [8.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "curiosity",
            "--bonus curiosity: there is counts, rnd, noveld, e3b; your own is",
        ),
        ("nowhere:Term", "--bonus nowhere:Term can't be imported: No module named 'nowhere'"),
        ("motif.intrinsic.terms:LearntReward", "LearntReward: .* missing 1 required .* 'rewards'"),
    ],
)
def test_a_bonus_that_is_none(name, message):
    with pytest.raises(ConfigError, match=message):
        make_bonus(name, 3.0)


class Reporter(Episodes):
    """Tells its text in ``info``, as what ``kind`` makes of it."""

    def __init__(self, kind, *episodes):
        super().__init__(*episodes)
        self.kind = kind

    def reset(self, **settings):
        observation, info = super().reset(**settings)
        return 0, {**info, "message": self.kind(bytes(observation["message"]))}

    def step(self, action):
        observation, *rest, info = super().step(action)
        return 0, *rest, {**info, "message": self.kind(bytes(observation["message"]))}


@pytest.mark.parametrize(
    "kind", [lambda raw: raw, lambda raw: raw.rstrip(b"\0").decode(), lambda raw: raw.rstrip(b"\0")]
)
def test_an_environment_may_report_its_text_instead(kind):
    env = IntrinsicReward(
        Reporter(kind, ["gold", "x", "gold", "x", "x"]), learnt(gold=8.0), llm_reward=1.0, **TIMING
    )
    assert play(env) == [8.0, 0.0, 1.0, 0.0]


def test_an_environment_without_text_is_told_so():
    with pytest.raises(KeyError, match="message"):
        message_of({"picture": 0}, {})


def test_the_rest_passes_through():
    env = IntrinsicReward(Episodes(["a"] * 5), None)
    observation, info = env.reset(seed=3, options={})
    assert info == {"seed": 3}
    assert bytes(observation["message"]).rstrip(b"\0") == b"a"
    _, _, terminated, truncated, info = env.step(7)
    assert (terminated, truncated, info["action"]) == (False, False, 7)


@pytest.mark.nle
def test_on_live_games_the_reward_is_the_sum_of_its_parts():
    import motif.games.nethack  # noqa: F401  registers the tasks

    env = gymnasium.make("NetHackScore-v1", observation_keys=("message",))
    rewards = MessageRewards(lambda messages_UC: messages_UC.astype(np.float64).mean(axis=1) / 9)
    env = IntrinsicReward(env, LearntReward(rewards, threshold=0.1), **RECIPE)
    env.unwrapped.seed(1, 2, False)
    rng = np.random.default_rng(0)
    observation, _ = env.reset()
    counts = {}
    for _ in range(300):
        message = observation["message"].tobytes()  # seen before the action
        counts[message] = counts.get(message, 0) + 1
        worth = sum(message) / 256 / 9
        expected = worth / counts[message] ** 3 if worth > 0.1 else 0.0
        observation, reward, terminated, _, info = env.step(rng.integers(env.action_space.n))
        assert info["intrinsic_reward"] == pytest.approx(expected)
        extrinsic = min(10.0, 0.1 * info["extrinsic_reward"])
        assert reward == pytest.approx(0.1 * extrinsic + 0.1 * expected)
        if terminated:
            break
    assert len(counts) > 3
    env.close()


@pytest.mark.nle
def test_the_ten_lines_of_the_docstring_run(reward_folder, capsys):
    code = textwrap.dedent(inspect.getdoc(wrapper).partition("::\n")[2])
    folder = '"train_dir/reward_saving_dir/standard_reward"'
    assert folder in code
    exec(code.replace(folder, repr(str(reward_folder))), {})
    reward, extrinsic, intrinsic = map(float, capsys.readouterr().out.split())
    assert reward == pytest.approx(extrinsic + 0.1 * intrinsic)
