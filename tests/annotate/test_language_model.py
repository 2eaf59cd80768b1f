"""The language model as annotator: windows, retries, de-duplication, cache."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scripted_chat import MANY_TEXTS, ScriptedChatModel, prefer

from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import ModelError, Reply, Request
from motif.annotate.language_model import (
    AskingOptions,
    LanguageModelAnnotator,
)
from motif.annotate.prompt import load_shipped_prompt
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference

MakeDataset = Callable[..., PairsDataset]
PROMPT = load_shipped_prompt("default", "defaultgoal")


def annotator_of(
    model: ScriptedChatModel, cache: Path, logdir: Path | None = None, **options: object
) -> LanguageModelAnnotator:
    return LanguageModelAnnotator(
        PROMPT,
        lambda: model,
        AnswerCache(cache),
        source={},
        options=AskingOptions(**options),  # type: ignore[arg-type]
        logdir=logdir,
    )


def labels_of(annotator: LanguageModelAnnotator, pairs: PairsDataset) -> np.ndarray:
    """All labels; each pair must come exactly once."""
    labels = np.full(len(pairs), -1, np.int8)
    for answers in annotator.annotate(pairs, np.arange(len(pairs))):
        assert (labels[answers.indices] == -1).all()
        labels[answers.indices] = answers.labels
    assert (labels >= 0).all()
    return labels


def expected_labels(pairs: PairsDataset) -> list[Preference]:
    names = {"1": Preference.FIRST, "2": Preference.SECOND, "None": Preference.TIE}
    captioned = captioned_pairs(pairs, np.arange(len(pairs)))
    return [names[prefer(pair.first, pair.second)] for pair in captioned]


@pytest.mark.parametrize("window", [1, 3, 7, 1000])
@pytest.mark.parametrize("at_once", [1, None])
@pytest.mark.parametrize("dedupe", [True, False])
def test_labels_do_not_depend_on_windows(
    make_dataset: MakeDataset, tmp_path: Path, window: int, at_once: int | None, dedupe: bool
) -> None:
    pairs = make_dataset(60)
    model = ScriptedChatModel(at_once=at_once)
    labels = labels_of(annotator_of(model, tmp_path, window=window, dedupe=dedupe), pairs)
    assert labels.tolist() == expected_labels(pairs)
    assert model.most_queued <= window
    assert model.closed


def test_each_pair_of_captions_is_asked_once_and_equal_ones_never(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs = make_dataset(300)
    model = ScriptedChatModel()
    labels_of(annotator_of(model, tmp_path), pairs)
    captioned = {(c.first, c.second) for c in captioned_pairs(pairs, np.arange(300))}
    assert len(model.asked) == sum(first != second for first, second in captioned)


def test_no_dedupe_asks_about_each_pair(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(300)
    model = ScriptedChatModel()
    labels_of(annotator_of(model, tmp_path, dedupe=False), pairs)
    differing = [c for c in captioned_pairs(pairs, np.arange(300)) if c.first != c.second]
    assert len(model.asked) == len(differing)


def test_a_second_run_asks_nothing_and_loads_no_model(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs = make_dataset(50)
    labels = labels_of(annotator_of(ScriptedChatModel(), tmp_path), pairs)
    second = annotator_of(ScriptedChatModel(), tmp_path)
    second._make_model = lambda: pytest.fail("the model was loaded")
    assert (labels_of(second, pairs) == labels).all()


@pytest.mark.parametrize("window", [4, 1000])
def test_retries_join_the_next_window(
    make_dataset: MakeDataset, tmp_path: Path, window: int
) -> None:
    pairs = make_dataset(200, texts=MANY_TEXTS)
    model = ScriptedChatModel(script=lambda first, second: "Hard to say.")
    labels = labels_of(annotator_of(model, tmp_path, window=window), pairs)
    assert labels.tolist() == expected_labels(pairs)
    retries = [request for request in model.asked if len(request.messages) == 4]
    assert len(retries) == len(model.asked) / 2
    if window == 4:  # full all the time, but for the end
        assert set(model.collected[:-2]) == {4}


def test_the_retry_is_a_proper_turn(make_dataset: MakeDataset, tmp_path: Path) -> None:
    model = ScriptedChatModel(script=lambda first, second: "Hard to say.")
    labels_of(annotator_of(model, tmp_path), make_dataset(5))
    turns = model.asked[-1].messages
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[2]["content"] == "Hard to say."
    assert turns[3]["content"] == PROMPT.retry


def test_two_useless_answers_are_unknown_and_asked_again_by_the_next_run(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs = make_dataset(30)
    mute = ScriptedChatModel(lambda first, second: "?", lambda first, second: "??")
    labels = labels_of(annotator_of(mute, tmp_path), pairs)
    assert set(labels) == {Preference.TIE, Preference.UNKNOWN}
    assert labels_of(annotator_of(ScriptedChatModel(), tmp_path), pairs).tolist() == (
        expected_labels(pairs)
    )


def test_an_answer_cut_short_holds_no_decision_and_is_asked_once_more(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    class Short(ScriptedChatModel):
        def answer(self, request: Request) -> Reply:
            reply = super().answer(request)
            return dataclasses.replace(reply, cut=len(request.messages) == 2)

    pairs = make_dataset(40)
    model = Short(script=lambda first, second: '("best_description": 2) or rather')
    assert labels_of(annotator_of(model, tmp_path), pairs).tolist() == expected_labels(pairs)
    again = annotator_of(ScriptedChatModel(), tmp_path)
    again._make_model = lambda: pytest.fail("the model was loaded")
    assert labels_of(again, pairs).tolist() == expected_labels(pairs)


def test_a_better_pattern_repairs_labels_that_were_paid_for(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = make_dataset(40)
    model = ScriptedChatModel(script=lambda first, second: "Hm.")
    model.retry_script = lambda first, second: f"xyzzy {prefer(first, second)}!"
    assert set(labels_of(annotator_of(model, tmp_path), pairs)) == {2, 3}
    better = dataclasses.replace(PROMPT, answer_pattern="xyzzy (1|2|none)")
    monkeypatch.setattr(sys.modules[__name__], "PROMPT", better)
    again = annotator_of(ScriptedChatModel(), tmp_path)
    again._make_model = lambda: pytest.fail("the model was loaded")
    assert labels_of(again, pairs).tolist() == expected_labels(pairs)


def test_labels_of_earlier_caches_are_taken(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(20)
    cache = AnswerCache(tmp_path)
    for captioned in captioned_pairs(pairs, np.arange(20)):
        cache.put(answer_key(captioned.first, captioned.second), 1)
    cache.close()
    model = ScriptedChatModel()
    assert set(labels_of(annotator_of(model, tmp_path), pairs)) == {1, 2}
    assert not model.asked


@pytest.mark.parametrize("window", [1, 1000])
def test_a_model_without_any_decision_ends_the_run_early(
    make_dataset: MakeDataset, tmp_path: Path, window: int
) -> None:
    class Thinking(ScriptedChatModel):
        def answer(self, request: Request) -> Reply:
            return dataclasses.replace(super().answer(request), thoughts="Hm, 1?")

    pairs = make_dataset(300, texts=MANY_TEXTS)
    model = ScriptedChatModel(lambda first, second: "As an AI", lambda first, second: "I \x1bm")
    with pytest.raises(ModelError, match=r"none of the first 64 .*: 'I .*m'; .*--show-prompt 0"):
        labels_of(annotator_of(model, tmp_path / "one", window=window), pairs)
    assert len(model.asked) == 128
    empty = Thinking(lambda first, second: "", lambda first, second: "")
    with pytest.raises(ModelError, match=r"'' beside 6 characters of reasoning.*--max-new-tokens"):
        labels_of(annotator_of(empty, tmp_path / "two", window=window), pairs)


def test_a_long_answer_is_shortened_before_the_retry(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    model = ScriptedChatModel(script=lambda first, second: "word " * 5000 + "the end")
    model.max_model_len = 3000
    labels_of(annotator_of(model, tmp_path), make_dataset(5))
    quoted = model.asked[-1].messages[2]["content"]
    assert quoted.endswith("the end")
    assert sum(len(turn["content"]) for turn in model.asked[-1].messages[:-1]) <= 3000


def test_direct_answers_ask_both_orders_and_share_them(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs = make_dataset(200)
    model = ScriptedChatModel()
    annotator = annotator_of(model, tmp_path, direct=True, window=8)
    seen = {}
    for answers in annotator.annotate(pairs, np.arange(200)):
        assert answers.probabilities is not None
        for index, label, probabilities in zip(*answers[:3]):
            seen[int(index)] = (label, probabilities)
            assert probabilities[:3].sum() == pytest.approx(1)
    assert [seen[index][0] for index in range(200)] == expected_labels(pairs)
    unordered = {frozenset(c[1:]) for c in captioned_pairs(pairs, np.arange(200))}
    assert len(model.asked) == 2 * sum(len(sides) == 2 for sides in unordered)
    assert all(request.messages[-1]["content"] == PROMPT.direct_prefill for request in model.asked)


def test_a_mirrored_pair_gets_mirrored_probabilities(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs = make_dataset(2, texts=("You kill it!", "It's a wall."))
    messages = np.load(pairs.path("message"))
    texts = np.stack([np.frombuffer(t.ljust(256, b"\0"), np.uint8) for t in (b"You kill", b"Hm")])
    messages[0, :, 0], messages[1, :, 0] = texts, texts[::-1]
    np.save(pairs.path("message"), messages)
    annotator = annotator_of(ScriptedChatModel(), tmp_path, direct=True)
    (answers,) = annotator.annotate(pairs, np.arange(2))
    order = np.argsort(answers.indices)
    probabilities = answers.probabilities[order]
    assert answers.labels[order].tolist() == [Preference.FIRST, Preference.SECOND]
    assert probabilities[0] == pytest.approx(probabilities[1][[1, 0, 2, 3]])


def test_answers_of_earlier_versions_are_read(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(20, texts=MANY_TEXTS)
    cache = AnswerCache(tmp_path)
    for captioned in captioned_pairs(pairs, np.arange(20)):
        cache.put(answer_key(*sorted(captioned[1:])), [0.7, 0.2, 0.1, 0.9])
    cache.close()
    model = ScriptedChatModel()
    (answers,) = annotator_of(model, tmp_path, direct=True).annotate(pairs, np.arange(20))
    assert not model.asked
    assert (np.sort(answers.probabilities[:, :2]) == np.float32([0.2, 0.7])).all()
    assert np.isnan(answers.probabilities[:, 3]).all()


def test_a_server_that_does_not_continue_the_prefill_is_caught(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    class Chatty(ScriptedChatModel):
        def answer(self, request: Request) -> Reply:
            return Reply(request.tag, "Well", 10, 1, [("Well", -0.01)])

    annotator = annotator_of(Chatty(), tmp_path, direct=True)
    with pytest.raises(ModelError, match="does not continue the answer it is given"):
        labels_of(annotator, make_dataset(300, texts=MANY_TEXTS))


def test_one_conversation_a_file(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(20, texts=(*MANY_TEXTS, "\x1b[31mred"))
    model = ScriptedChatModel(script=lambda first, second: "Hard to say.")
    labels_of(annotator_of(model, tmp_path / "cache", tmp_path / "log"), pairs)
    texts = {path: path.read_text() for path in (tmp_path / "log").glob("*.txt")}
    files = sorted(path for path, text in texts.items() if text.startswith("---"))
    assert len(files) == len(model.asked) / 2
    text = (tmp_path / "log" / files[0].name).read_text()
    roles = [line for line in text.splitlines() if line.startswith("---")]
    assert roles == [f"--- {r} ---" for r in ("system", "user", "assistant", "user", "assistant")]
    assert "\x1b" not in "".join(path.read_text() for path in files)


def test_pairs_that_share_a_question_name_its_file(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    pairs, log = make_dataset(60), tmp_path / "log"
    labels = labels_of(annotator_of(ScriptedChatModel(), tmp_path / "cache", log), pairs)
    texts = {int(path.stem): path.read_text() for path in log.glob("*.txt")}
    asked = {pair for pair, text in texts.items() if text.startswith("--- system")}
    assert len(asked) < len(texts) < len(pairs)  # some share a question, some are ties
    for pair in set(texts) - asked:
        other = int(texts[pair].split()[5].rstrip(":"))
        assert texts[pair] == f"the same question as pair {other}: see {other}.txt\n"
        assert other in asked and labels[other] == labels[pair]


def test_blstats_reach_the_captions(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(5, seq_len=3)
    model = ScriptedChatModel()
    annotator = annotator_of(model, tmp_path, use_blstats=True)
    assert annotator.keys == ("message", "blstats")
    labels_of(annotator, pairs)
    assert "HP:" in model.asked[0].messages[-1]["content"]
    labels_of(annotator_of(model, tmp_path, use_messages=False, use_blstats=True), pairs)
    assert "You" not in model.asked[-1].messages[-1]["content"].split("description_1")[-1]


def test_what_is_labelled_when_the_model_fails_is_kept(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    class Failing(ScriptedChatModel):
        def collect(self) -> list[Reply]:
            if len(self.collected) == 3:
                raise ModelError("gone")
            return super().collect()

    pairs = make_dataset(60, texts=MANY_TEXTS)
    model = Failing()
    done = 0
    with pytest.raises(ModelError, match="gone"):
        for answers in annotator_of(model, tmp_path, window=5).annotate(pairs, np.arange(60)):
            done += len(answers.indices)
    assert done >= 15
    assert len(AnswerCache(tmp_path)) == 15
    assert model.closed


MEMORY = """
import resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from scripted_chat import ScriptedChatModel
from pathlib import Path
from motif.annotate.cache import AnswerCache
from motif.annotate.captions import captioned_pairs
from motif.annotate.language_model import AskingOptions, LanguageModelAnnotator
from motif.annotate.prompt import load_shipped_prompt
from motif.pairs_dataset import PairsDataset
pairs = PairsDataset(sys.argv[2])
class Fast(ScriptedChatModel):
    def submit(self, requests):
        self.queue.extend(requests)
def run(count):
    model = Fast(script=lambda first, second: '("best_description": 1)')
    annotator = LanguageModelAnnotator(
        load_shipped_prompt("default", "gold"), lambda: model, AnswerCache(Path(sys.argv[3])),
        source={}, options=AskingOptions(window=256))
    for answers in annotator.annotate(pairs, np.arange(count)):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(run(2000), run(len(pairs)))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pairs(make_dataset: MakeDataset, tmp_path: Path) -> None:
    pairs = make_dataset(2)
    rng = np.random.default_rng(0)
    messages = rng.integers(32, 127, size=(40_000, 2, 1, 256), dtype=np.uint8)  # all distinct
    np.save(pairs.path("message"), messages)
    run = [sys.executable, "-c", MEMORY, str(Path(__file__).parent)]
    run += [str(pairs.directory), str(tmp_path / "cache")]
    result = subprocess.run(run, check=True, capture_output=True, text=True)
    few, many = map(int, result.stdout.split())
    assert many - few < 12  # MiB


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    "damaged",
    [
        3,
        9,
        -1,
        "1",
        None,
        [],
        {},
        [0.5, 0.5],
        [0.1, "a", 0.2, 0.9],
        [-1.0, 0.5, 0.5, 1.0],
        [[0.1, 0.2, 0.3], 3],
    ],
)
def test_an_answer_of_the_cache_that_is_none_is_asked_again(
    make_dataset: MakeDataset, tmp_path: Path, damaged: object, direct: bool
) -> None:
    pairs = make_dataset(20, texts=MANY_TEXTS)
    whole = labels_of(annotator_of(ScriptedChatModel(), tmp_path / "whole", direct=direct), pairs)
    for captioned in captioned_pairs(pairs, np.arange(20)):
        cache = AnswerCache(tmp_path / "cache")
        for first, second in (captioned[1:], captioned[:0:-1]):
            cache.put(answer_key(first, second), damaged)
        cache.close()
    model = ScriptedChatModel()
    again = labels_of(annotator_of(model, tmp_path / "cache", direct=direct), pairs)
    assert (again == whole).all()
    assert model.asked
