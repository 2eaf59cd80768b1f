"""What environments are paid, from one version of the reward to the next."""

from __future__ import annotations

from motif.messages import encode
from motif.online.labels import Labels
from motif.online.learner import Learner
from motif.online.met import MetMessages, waiting_files
from motif.online.reward import OnlineReward, Versions
from motif.reward.checkpoint import load_reward_model

MESSAGE = encode("You kill the newt!").tobytes()


def rewards_of(folder):
    def load(number):
        loaded = load_reward_model(folder, number)
        known = dict(zip(map(bytes, loaded.train_messages), loaded.train_rewards.tolist()))
        return known, loaded.threshold(0.5)

    return Versions(folder, load, ({MESSAGE: 0.5}, 0.0))


def test_a_new_version_is_taken_as_an_episode_begins(folder):
    folder.mkdir(parents=True)
    labels, learner = Labels(folder), Learner("retrieval", folder, seed=1)
    versions, met = rewards_of(folder / "reward"), MetMessages(folder, every=4)
    terms = [OnlineReward(versions, met, count_exponent=3.0) for _ in range(2)]
    for term in terms:
        term.reset()
    assert terms[0].observe(MESSAGE, {}) == 0.5  # before there is any
    labels.add([(b"You kill the newt!", b"")], [0])
    learner.publish(labels, {})
    assert terms[0].observe(MESSAGE, {}) == 0.5 / 2**3  # constant within a game
    terms[1].reset()
    assert terms[1].observe(MESSAGE, {}) == 1
    assert terms[0].observe(MESSAGE, {}) == 0.5 / 3**3
    ((_, records),) = waiting_files(folder, ())
    assert records.tolist() == [(b"You kill the newt!", 4)]  # all that was met, by any


def test_a_version_that_is_just_being_replaced_is_no_accident(folder):
    def gone(number):
        raise FileNotFoundError

    first = {}, 0.0
    (folder / "reward" / "checkpoint_p0").mkdir(parents=True)
    (folder / "reward" / "checkpoint_p0" / "checkpoint_1.pth").touch()
    versions = Versions(folder / "reward", gone, first)
    assert versions.newest() is first
    assert versions.number == 0
