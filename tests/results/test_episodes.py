"""Reading the games of a run, and comparing its beginning with its end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.errors import CheckpointError
from motif.results.episodes import compare_fifths, order_of_start, read_episodes, running_mean

HEADER = "env_steps,return,length,score\n"


@pytest.mark.parametrize(
    ("content", "returns"),
    [
        (HEADER, []),
        (HEADER + "100,1.5,50,2\n200,-0.25,70,3\n", [1.5, -0.25]),
        (HEADER + "100,1.5,50,2\n200,2.5,70,3", [1.5]),  # the last line may lack digits
        (HEADER + "100,1.5,50,2\n200,2.", [1.5]),
        (HEADER + "100,1.5,50,2\n20\n300,3.5,5,5\n", [1.5, 3.5]),
        (HEADER + "100,1.5,50,2\n" + HEADER + "300,3.5,5,5\n", [1.5, 3.5]),
        (HEADER + "100,1.5,50,2\n\n100,x,50,2\n", [1.5]),
        (HEADER + "100,1.5,50,2\n100,nan,50,2\n100,2,inf,2\n100,\0,\x80,2\n", [1.5]),
        (HEADER.replace("\n", "\r\n") + "100,1.5,50,2\r\n", [1.5]),
    ],
)
def test_what_a_crash_leaves_is_skipped(tmp_path, content, returns):
    path = tmp_path / "episodes.csv"
    path.write_bytes(content.encode())
    episodes = read_episodes(path)
    assert list(episodes) == ["env_steps", "return", "length", "score"]
    assert episodes["return"].tolist() == returns
    assert len(episodes["score"]) == len(returns)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no .*episodes\.csv; it is written by python -m"):
        read_episodes(tmp_path / "episodes.csv")


@pytest.mark.parametrize("content", ["", "1,2,3\n4,5,6\n"])
def test_no_header(tmp_path, content):
    path = tmp_path / "episodes.csv"
    path.write_text(content)
    with pytest.raises(CheckpointError, match="does not begin with the names of its columns"):
        read_episodes(path)


def test_order_of_start():
    # two environments: one plays games of 10 and 20 steps, the other a game of 25
    episodes = {"env_steps": np.array([20.0, 50.0, 60.0]), "length": np.array([10.0, 25.0, 20.0])}
    assert order_of_start(episodes, 2).tolist() == [0, 1, 2]
    episodes = {"env_steps": np.array([20.0, 40.0, 60.0]), "length": np.array([10.0, 5.0, 30.0])}
    assert order_of_start(episodes, 2).tolist() == [0, 2, 1]


def test_a_change_is_told_from_noise():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 2, 50), rng.normal(0, 9, 150), rng.normal(14, 2, 50)])
    change = compare_fifths(values, rng)
    assert change.games == 50
    assert change.first == pytest.approx(values[:50].mean())
    assert change.last == pytest.approx(values[-50:].mean())
    assert 0 < change.low < change.last - change.first < change.high
    # two means of 50 with deviation 2: the half-width is 1.96 * 2 * sqrt(2 / 50) = 0.78
    assert (change.high - change.low) / 2 == pytest.approx(0.78, rel=0.15)


def test_noise_is_no_change():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        change = compare_fifths(rng.exponential(size=200), rng)
        covered += change.low <= 0 <= change.high
    assert covered >= 33  # 38 expected


@pytest.mark.parametrize(("games", "fifth"), [(9, None), (10, 2), (14, 2), (15, 3)])
def test_few_games(games, fifth):
    change = compare_fifths(np.arange(games, dtype=float), np.random.default_rng(0))
    assert (change and change.games) == fifth


def test_the_first_fifth_may_be_that_of_the_games_that_began_first():
    values = np.arange(20, dtype=float)
    change = compare_fifths(values, np.random.default_rng(0), began=np.arange(20)[::-1])
    assert (change.first, change.last) == (17.5, 17.5)
    assert compare_fifths(values, np.random.default_rng(0)).first == 1.5


@given(st.lists(st.floats(-1e3, 1e3), max_size=30), st.integers(1, 8))
def test_running_mean(values, window):
    expected = [np.mean(values[max(i - window + 1, 0) : i + 1]) for i in range(len(values))]
    got = running_mean(np.array(values, dtype=float), window)
    np.testing.assert_allclose(got, expected, atol=1e-9)
