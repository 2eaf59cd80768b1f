"""The task table, and the one environment that plays its rows, on scripted games."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from nle import nethack
from nle.env import base
from nle.env.tasks import TASK_ACTIONS
from scripted_game import Frame, ScriptedGame

from motif.errors import ConfigError
from motif.games.nethack import TASKS
from motif.games.nethack.environment import NetHackTask
from motif.games.nethack.tasks import MeetOracle, ReachLevel, Task, oracle_glyph

pytestmark = pytest.mark.nle

KEYS = [int(action) for action in TASK_ACTIONS]
SPACE, ESC, YES, EAT = ord(" "), 27, KEYS.index(ord("y")), KEYS.index(ord("e"))
WAIT = KEYS.index(ord("."))
DESCENT = "You descend the stairs."
TURN, SCORE, LEVEL = nethack.NLE_BL_TIME, nethack.NLE_BL_SCORE, nethack.NLE_BL_DLEVEL
BRANCH, DEPTH, GOLD = nethack.NLE_BL_DNUM, nethack.NLE_BL_DEPTH, nethack.NLE_BL_GOLD
CONDITION = nethack.NLE_BL_CONDITION
HALLUCINATING, BLIND = 0x200, nethack.BL_MASK_BLIND
STONE = nethack.GLYPH_CMAP_OFF


@pytest.fixture
def start():
    """``start(task, *frames)``: the environment after its reset, with the first frame shown."""
    made = []

    def make(task, *frames, **settings):
        env = NetHackTask(task, **settings)
        made.append(env.nethack)
        env.nethack = ScriptedGame(frames, env._observation_keys)
        env.first = env.reset()
        return env

    yield make
    for game in made:
        game.close()


def descend(level=2, **more):
    return Frame(DESCENT, {LEVEL: level, **more})


# The table


def test_the_table_has_the_nine_tasks_and_gymnasium_knows_them():
    expected = {
        "NetHackScore-v1": Task(None),
        "NetHackOracle-v1": Task(MeetOracle(False), True),
        "NetHackOracleSober-v1": Task(MeetOracle(True), True),
    }
    for name, level in (("", 2), ("Lvl3", 3), ("Lvl4", 4)):
        expected[f"NetHackStaircase{name}-v1"] = Task(ReachLevel(level), True)
        expected[f"NetHackStaircase{name}Continual-v1"] = Task(ReachLevel(level), False)
    assert expected == TASKS


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_nle_with_23_actions_and_its_own_observations(name):
    env = gymnasium.make(name)
    assert env is env.unwrapped
    assert env.task == TASKS[name]
    assert env.action_space == gymnasium.spaces.Discrete(23)
    assert [int(action) for action in env.actions] == KEYS
    assert env.character == "mon-hum-neu-mal"
    assert env._max_episode_steps == 5000
    assert set(env.observation_space.spaces) >= {"glyphs", "chars", "inv_letters", "tty_cursor"}
    env.seed(1, 2, False)
    first = {key: array.copy() for key, array in env.reset()[0].items()}
    env.seed(1, 2, False)
    second = env.reset()[0]
    assert env.observation_space.contains(second)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    env.close()


def test_the_23_actions_are_return_16_moves_stairs_wait_kick_eat_search():
    assert [13, *b"kljhunbyKLJHUNBY<>.", 4, *b"es"] == KEYS


def test_other_options_of_nle_keep_their_defaults(monkeypatch):
    given, original = {}, base.NLE.__init__

    def make(self, **settings):
        given.update(settings)
        original(self, **settings)

    monkeypatch.setattr(base.NLE, "__init__", make)
    gymnasium.make("NetHackScore-v1").close()
    assert set(given) == {"actions", "observation_keys"}


def screens(env, *seeds):
    """What games begin with, one for each reset."""
    return [env.reset(seed=seed)[0]["tty_chars"].tobytes() for seed in seeds]


def test_a_seed_given_to_reset_decides_this_game_and_the_next_ones():
    env = NetHackTask("NetHackScore-v1")
    assert len(set(screens(env, None, None, None))) == 3
    first = screens(env, 5, None, None)
    assert len(set(first)) == 3
    assert screens(env, 5, None, None) == first
    assert screens(env, 6) != first[:1]
    env.seed(1, 2, False)
    chosen = screens(env, None, None)
    env.seed(1, 2, reseed=False)
    assert screens(env, None) == chosen[:1] != screens(env, None)
    env.close()


@pytest.mark.parametrize("name", ["NetHackScore-v1", "NetHackOracleSober-v1"])
def test_gymnasiums_own_checks(name):
    env = gymnasium.make(name)
    check_env(env)
    env.close()


def test_options_of_a_reset_are_nles():
    env = NetHackTask("NetHackScore-v1", wizard=True)
    env.reset(options={})
    env.reset(options={"wizkit_items": ["blessed amulet of life saving"]})
    assert b"amulet" in env.last_observation[env._observation_keys.index("inv_strs")].tobytes()
    env.close()


def test_the_screen_is_described_on_request_alone():
    assert "screen_descriptions" not in gymnasium.make("NetHackScore-v1").observation_space
    env = gymnasium.make("NetHackScore-v1", observation_keys=("screen_descriptions",))
    assert set(env.reset()[0]) == {"screen_descriptions"}
    env.close()


def test_the_moon_is_fixed_where_nle_can():
    settings = {"fix_moon_phase": True}
    if "fix_moon_phase" in inspect.signature(base.NLE).parameters:
        env = NetHackTask("NetHackScore-v1", **settings)
        assert screens(env, 5) == screens(env, 5)
        env.close()
    else:
        with pytest.raises(ConfigError, match=r"needs nle 1\.3"):
            NetHackTask("NetHackScore-v1", **settings)


# What counts as success


@pytest.mark.parametrize("level", [2, 3, 4])
def test_reach_level_wants_the_message_and_exactly_the_level(level):
    success = ReachLevel(level)
    for there in range(6):
        blstats = [0] * 27
        blstats[LEVEL] = there
        assert success(b"You descend the stairs.", blstats, None) == (there == level)
        assert success(b"Oh.  You descend the stairs, oops", blstats, None) == (there == level)
        assert not success(b"You fall through a trap door!", blstats, None)


def glyphs_with_oracle(y, x):
    glyphs = np.full((21, 79), STONE, np.int16)
    glyphs[y, x] = oracle_glyph()
    return glyphs


def blstats_at(x, y, condition=0):
    blstats = [0] * 27
    blstats[nethack.NLE_BL_X], blstats[nethack.NLE_BL_Y] = x, y
    blstats[CONDITION] = condition
    return blstats


def test_the_oracles_glyph_is_hers():
    assert nethack.permonst(nethack.glyph_to_mon(oracle_glyph())).mname == "Oracle"
    assert nethack.glyph_is_monster(oracle_glyph())


@pytest.mark.parametrize("hero", [(40, 10), (1, 0), (78, 20), (1, 20), (78, 0), (0, 0)])
def test_the_oracle_is_met_in_the_nine_squares_around_the_hero(hero):
    x, y = hero
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if not (0 <= y + dy < 21 and 0 <= x + dx < 79):
                continue
            met = MeetOracle()(b"", blstats_at(x, y), glyphs_with_oracle(y + dy, x + dx))
            assert met == (max(abs(dy), abs(dx)) <= 1), (dx, dy)


def test_a_map_border_does_not_wrap_around():
    assert not MeetOracle()(b"", blstats_at(0, 10), glyphs_with_oracle(10, 78))
    assert not MeetOracle()(b"", blstats_at(40, 0), glyphs_with_oracle(20, 40))


@pytest.mark.parametrize(
    "condition, sober", [(0, True), (BLIND, True), (0x200, False), (0x200 | BLIND | 1, False)]
)
def test_hallucination_is_one_bit_of_the_condition(condition, sober):
    glyphs = glyphs_with_oracle(10, 41)
    assert MeetOracle(sober=True)(b"", blstats_at(40, 10, condition), glyphs) == sober
    assert MeetOracle()(b"", blstats_at(40, 10, condition), glyphs)


# Rewards and endings


def test_score_pays_the_gain_and_fines_a_frozen_turn(start):
    env = start(
        "NetHackScore-v1",
        Frame(blstats={SCORE: 3, TURN: 1}),
        Frame(blstats={SCORE: 3, TURN: 2}),
        Frame(blstats={SCORE: 3, TURN: 2}),
        Frame(blstats={SCORE: 25, TURN: 5}),
        Frame(blstats={SCORE: 26, TURN: 5}),
        Frame(over=True),
    )
    steps = [env.step(WAIT) for _ in range(5)]
    assert [reward for _, reward, *_ in steps] == pytest.approx([0, -0.01, 22, 0.99, 0])
    assert [(terminated, truncated) for _, _, terminated, truncated, _ in steps] == [
        *([(False, False)] * 4),
        (True, False),
    ]
    assert steps[-1][4]["end_status"] == env.StepStatus.DEATH
    assert env.nethack.pressed == [ord(".")] * 5


def test_success_pays_50_and_ends(start):
    env = start("NetHackStaircase-v1", Frame(), Frame(), descend(2))
    assert env.step(WAIT)[1:4] == (0.0, False, False)
    _, reward, terminated, truncated, info = env.step(WAIT)
    assert (reward, terminated, truncated) == (50.0, True, False)
    assert info["end_status"] == env.StepStatus.TASK_SUCCESSFUL
    assert env.nethack.pressed[2:] == [0x80 | ord("q"), ord("y")]  # the game is quit


def test_another_level_is_no_success(start):
    env = start("NetHackStaircaseLvl3-v1", Frame(), descend(2), descend(4), descend(3))
    assert [env.step(WAIT)[1:3] for _ in range(3)] == [(0.0, False), (0.0, False), (50.0, True)]


def test_a_continual_task_pays_once_an_episode_and_goes_on(start):
    frames = Frame(), descend(2), Frame(), descend(2), Frame(over=True)
    env = start("NetHackStaircaseContinual-v1", *frames)
    for _ in range(2):
        steps = [env.step(WAIT) for _ in range(4)]
        assert [reward for _, reward, *_ in steps] == [50.0, 0.0, 0.0, 0.0]
        assert [terminated for _, _, terminated, *_ in steps] == [False, False, False, True]
        assert steps[0][4]["end_status"] == env.StepStatus.RUNNING
        env.reset()


def test_what_the_reset_shows_is_no_success(start):
    env = start("NetHackStaircaseContinual-v1", descend(2), Frame(), descend(2))
    assert [env.step(WAIT)[1] for _ in range(2)] == [0.0, 50.0]


@pytest.mark.parametrize("task", ["NetHackStaircase-v1", "NetHackStaircaseContinual-v1"])
def test_a_success_on_the_last_allowed_step_is_not_counted(start, task):
    env = start(task, Frame(), Frame(), descend(2), max_episode_steps=2)
    assert env.step(WAIT)[1:4] == (0.0, False, False)
    _, reward, terminated, truncated, info = env.step(WAIT)
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["end_status"] == env.StepStatus.ABORTED


def test_the_score_of_the_last_allowed_step_is_paid(start):
    frames = [Frame(blstats={SCORE: 4 * n, TURN: n}) for n in range(1, 5)]
    env = start("NetHackScore-v1", *frames, max_episode_steps=2)
    assert [env.step(WAIT)[1:4] for _ in range(2)] == [(4, False, False), (4, True, False)]


def test_dying_pays_nothing_and_info_keeps_the_last_readable_status(start):
    alive = Frame(blstats={SCORE: 40, GOLD: 7, DEPTH: 3, nethack.NLE_BL_XP: 2}, glyphs={(3, 4): 1})
    env = start("NetHackScore-v1", Frame(), alive, Frame(over=True))
    before = env.step(WAIT)[4]
    observation, reward, terminated, _, info = env.step(WAIT)
    assert not observation["blstats"].any()
    assert (reward, terminated) == (0.0, True)
    progress = {"score": 40, "gold": 7, "dlvl": 3, "xlvl": 2, "scout": 1}
    assert {name: info[name] for name in progress} == progress
    assert {name: before[name] for name in progress} == progress


def test_a_success_seen_in_the_last_message_of_a_dead_hero_pays_nothing(start):
    env = start("NetHackStaircase-v1", Frame(), Frame(DESCENT, over=True))
    assert env.step(WAIT)[1:3] == (0.0, True)


# What the game asks


def test_at_the_eating_question_yes_is_the_first_letter_offered(start):
    question = Frame("What do you want to eat? [fgH or ?*] ", asks="key")
    env = start("NetHackScore-v1", Frame(), question, Frame("Delicious."))
    env.step(EAT)
    env.step(YES)
    assert env.nethack.pressed == [ord("e"), ord("f")]


@pytest.mark.parametrize(
    "offered, action, key",
    [
        ("[H or ?*]", YES, ord("H")),
        ("[*]", YES, SPACE),
        ("[- or ?*]", YES, SPACE),
        ("", YES, SPACE),
        ("[fg or ?*]", WAIT, SPACE),
        ("[fg or ?*]", EAT, SPACE),
        ("[fg or ?*]", KEYS.index(13), SPACE),
    ],
)
def test_other_answers_to_the_eating_question(start, offered, action, key):
    env = start("NetHackScore-v1", Frame(f"What do you want to eat? {offered}"), Frame())
    env.step(action)
    assert env.nethack.pressed == [key]


def test_the_answer_is_to_this_episodes_question(start):
    env = start("NetHackScore-v1", Frame(), Frame("What do you want to eat? [f]", asks="key"))
    env.step(EAT)
    env.reset()
    env.step(YES)
    assert env.nethack.pressed == [ord("e"), ord("y")]


@pytest.mark.parametrize(
    "message, asks, answered",
    [
        ("Call a scroll:", "text", True),
        ("What do you want to eat? [f]", "text", True),
        ("Really step into that fire? [yn]", "key", True),
        ("What do you want to throw? [$]", "key", True),
        ("What do you want to eat? [f]", "key", False),
        ("Really attack the little dog? [yn]", "key", False),
        ("In what direction?", "key", False),
        ("Are you sure you want to pray? [yn]", "key", False),
        ("In what direction", "key", True),  # NLE's list of words has the question mark
    ],
)
def test_which_questions_are_answered_with_escape(start, message, asks, answered):
    env = start("NetHackScore-v1", Frame(), Frame(message, asks=asks), Frame("after"))
    observation, *_ = env.step(WAIT)
    assert env.nethack.pressed == [ord("."), *([ESC] if answered else [])]
    assert bytes(observation["message"]).rstrip(b"\0").decode() == (
        "after" if answered else message
    )


def test_more_is_clicked_through_and_only_the_descent_is_kept(start):
    env = start(
        "NetHackStaircase-v1",
        Frame(),
        Frame("You hear a door.", asks="more"),
        Frame(DESCENT, asks="more"),
        Frame("You see here a gem.", asks="more"),
        Frame("You remember it.", {LEVEL: 2}),
    )
    _, reward, terminated, *_ = env.step(WAIT)
    assert (reward, terminated) == (50.0, True)
    assert env.nethack.pressed[:4] == [ord("."), SPACE, SPACE, SPACE]
    assert env.message.rstrip(b"\0") == DESCENT.encode()


def test_a_descent_without_full_stop_is_not_kept(start):
    env = start(
        "NetHackStaircase-v1",
        Frame(),
        Frame("You descend the stairs", asks="more"),
        Frame("Oh.", {LEVEL: 2}),
    )
    assert env.step(WAIT)[1:3] == (0.0, False)
    assert env.message.rstrip(b"\0") == b"Oh."


def test_a_text_prompt_behind_more_and_more_behind_it(start):
    env = start(
        "NetHackScore-v1",
        Frame(),
        Frame("You read.", asks="more"),
        Frame("Call it:", asks="text"),
        Frame("It fades.", asks="more"),
        Frame("Done."),
    )
    env.step(WAIT)
    assert env.nethack.pressed == [ord("."), SPACE, ESC, SPACE]


# Progress


def test_scout_adds_levels_up_follows_revisits_and_starts_anew_each_episode(start):
    cells = [{(row, 1): 5 for row in range(count)} for count in range(10)]
    env = start(
        "NetHackScore-v1",
        Frame(glyphs=cells[2]),
        Frame(glyphs=cells[4]),
        Frame(blstats={LEVEL: 2, DEPTH: 2}, glyphs=cells[3]),
        Frame(blstats={LEVEL: 2, BRANCH: 2, DEPTH: 3}, glyphs=cells[1]),
        Frame(glyphs=cells[5]),
        Frame(over=True),
    )
    for _ in range(2):
        assert env.first[1]["scout"] == 2
        steps = [env.step(WAIT)[4] for _ in range(5)]
        assert [info["scout"] for info in steps] == [4, 7, 8, 9, 9]
        assert [info["dlvl"] for info in steps] == [1, 2, 3, 1, 1]
        env.first = env.reset()


def test_info_has_the_same_keys_at_reset_and_at_every_step(start):
    env = start("NetHackScore-v1", Frame(), Frame())
    keys = {
        "score",
        "dlvl",
        "gold",
        "xlvl",
        "scout",
        "turns",
        "deepest",
        "end_status",
        "is_ascended",
    }
    assert set(env.first[1]) == keys
    assert set(env.step(WAIT)[4]) == keys


def test_live_steps_count_towards_the_limit_and_end_as_terminated():
    env = NetHackTask("NetHackScore-v1", max_episode_steps=7)
    for _ in range(2):
        env.reset()
        steps = [env.step(WAIT) for _ in range(7)]
        assert [step[2] for step in steps] == [False] * 6 + [True]
        assert not any(step[3] for step in steps)
    env.close()
