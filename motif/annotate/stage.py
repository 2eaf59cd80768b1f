"""Stage 1 as one call: open the dataset, make the annotator, label a chunk, say what came out."""

from __future__ import annotations

import contextlib
from collections import Counter

import numpy as np

from motif.annotate.annotator import ASKED_AGAIN, Annotator, annotate_chunk, share_ties
from motif.annotate.assemble import (
    asking_options,
    batch_folder,
    conversations_about,
    make_chat_model,
    make_language_model_annotator,
    open_cache,
    request_files_name,
)
from motif.annotate.chat import OpenRequestsError
from motif.annotate.config import AnnotationConfig
from motif.annotate.engine_batch import next_steps, remove_requests
from motif.annotate.estimate import estimate
from motif.annotate.game_progress import ReturnAnnotator, ScoreAnnotator
from motif.annotate.language_model import show_turns
from motif.annotate.rules import RulesAnnotator
from motif.annotate.selection import Doubts, choose_pairs, indices_to_label
from motif.cli import EXIT_OPEN, command
from motif.data_files import read_json
from motif.errors import ConfigError
from motif.extensions import make_extension
from motif.games.game import find_game
from motif.messages import printable
from motif.pairs_dataset import PairsDataset, check_origin, origin_flags
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import find_probabilities, load_preferences
from motif.preference.labels import Preference, count_labels

MOST_TIES = 0.5  # of the labels; above, the judge hardly judges


def make_annotator(config: AnnotationConfig) -> Annotator:
    """The annotator of ``config.annotator_type``."""
    if config.annotator_type == "llama":
        return make_language_model_annotator(config)
    if config.annotator_type == "rules":
        return RulesAnnotator(config.goal_key, config.rules_file or find_game(config.game).rules)
    if config.annotator_type in ("score", "return"):
        return ScoreAnnotator() if config.annotator_type == "score" else ReturnAnnotator()
    annotator: Annotator = make_extension("--annotator-type", config.annotator_type, {})
    return annotator


def annotate(config: AnnotationConfig, doubts: Doubts) -> int:
    """Run stage 1 as ``config`` says; the exit status.

    Args:
        doubts: what ``--select uncertain`` chooses by.

    Raises:
        MotifError: something the user can put right; labels so far are kept.
    """
    check_origin(config.directory, game=config.game)
    if config.show_prompt is not None:
        return show_prompt(config, config.show_prompt)
    if config.estimate:
        return print_estimate(config, doubts)
    if config.reparse:
        return reparse(config)
    chosen = choose_pairs(config, doubts)
    with contextlib.closing(make_annotator(config)) as annotator:
        pairs = PairsDataset(config.directory, keys=annotator.keys)
        try:
            with PreferenceChunk(
                pairs,
                config.annotator,
                annotator.source,
                chunk=config.chunk_number,
                chunks=config.n_annotation_chunks,
                ignore_existing=config.ignore_existing,
                probabilities=annotator.keeps_probabilities,
            ) as chunk:
                freq = config.flushing_freq
                missing = annotate_chunk(pairs, annotator, chunk, flushing_freq=freq, chosen=chosen)
        except OpenRequestsError as left:
            print(f"{left}; the other labels are kept")
            folder, name = batch_folder(config), request_files_name(config)
            print(next_steps(folder, name, config.model_name, config.max_model_len))
            return EXIT_OPEN
        beside = None if missing else annotator.publish(pairs, chunk.path)
    if beside:
        print("for people to read:", beside)
    if config.backend == "batch":
        remove_requests(batch_folder(config), request_files_name(config))
    report(config, annotator, pairs, chunk, missing)
    return 0


def reparse(config: AnnotationConfig) -> int:
    """Label all pairs from what was answered; one without an answer on disk keeps its label."""
    if config.annotator_type != "llama":
        raise ConfigError("--reparse is for the answers of language models")
    annotator = make_language_model_annotator(config, asking=False)
    pairs = PairsDataset(config.directory, annotator.keys)
    before = load_preferences(pairs, config.annotator)
    after, kept = before.copy(), annotator.keeps_probabilities
    probabilities = find_probabilities(pairs, config.annotator)
    with contextlib.suppress(OpenRequestsError):
        for answers in annotator.annotate(pairs, np.arange(len(pairs))):
            after[answers.indices] = answers.labels
            if probabilities is not None and answers.probabilities is not None:
                columns = answers.probabilities.shape[1]
                probabilities[answers.indices, :columns] = answers.probabilities
    with PreferenceChunk(
        pairs, config.annotator, annotator.source, ignore_existing=True, probabilities=kept
    ) as chunk:
        if annotator.tie_share is not None and probabilities is not None:
            after = share_ties(after, probabilities, annotator.tie_share)
        chunk.labels[:] = after
        if chunk.probabilities is not None and probabilities is not None:
            chunk.probabilities[:] = probabilities
        missing = chunk.finish()
    changes = Counter(zip(before[before != after].tolist(), after[before != after].tolist()))
    print(f"labels that changed: {changes.total():,}")
    for (old, new), count in sorted(changes.items()):
        print(f"  {Preference(old).name.lower()} → {Preference(new).name.lower()}: {count:,}")
    report(config, annotator, pairs, chunk, missing)
    return 0


def report(
    config: AnnotationConfig,
    annotator: Annotator,
    pairs: PairsDataset,
    chunk: PreferenceChunk,
    missing: list[int],
) -> None:
    """Print the counts per label, where the file is and which command comes next."""
    if missing:
        print(f"chunk {chunk.chunk} of {chunk.chunks} is complete, in {chunk.parts}")
        print(f"still missing: chunk {', '.join(map(str, missing))}; for each run this command")
        print("with its --chunk-number, here or on another machine that shares the folder")
        return
    counts = count_labels(load_preferences(pairs, config.annotator))
    listed = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    print(f"labels of {len(pairs):,} pairs: {listed}")
    print(f"written to {chunk.path}")
    for reason, indices in read_json(chunk.path.with_suffix(".json")).get("refused", {}).items():
        print(f"unknown for want of an answer: {len(indices):,}, the first pair {min(indices)}:")
        print(f"  {printable(reason)} (all are listed in {chunk.path.with_suffix('.json')})")
    if counts["tie"] > MOST_TIES * len(pairs) and config.annotator_type == "llama":
        print(
            f"warning: {counts['tie'] / len(pairs):.0%} are ties, which teach little: ask a "
            "larger model, or, with --answer-mode direct or rating, name a --tie-share"
        )
    why = annotator.why_unknown()
    if (config.budget or config.first or len(pairs)) < len(pairs):
        print(
            f"pairs beyond {config.budget:,} are asked by this command with a larger --budget"
            if config.budget
            else f"pairs after the first {config.first:,} are asked by this command without --first"
        )
        counts["unknown"] = 0 if why == ASKED_AGAIN else counts["unknown"]
    if counts["unknown"]:
        print(why)
    name = config.annotator
    flags = origin_flags(config.directory)
    where = config.directory
    following = command("reward", dataset_dir=where, annotator=name, experiment=name, **flags)
    print("next:", following)


def show_prompt(config: AnnotationConfig, index: int) -> int:
    """Print what would be sent for one pair, and stop."""
    options = asking_options(config)
    pairs = PairsDataset(config.directory, options.keys)
    if not 0 <= index < len(pairs):
        raise ConfigError(f"--show-prompt {index}: the pairs are 0 to {len(pairs) - 1}")
    (pair,) = options.captioned(pairs, np.array([index]))
    for first, *_ in conversations_about(config)(pair).values():
        print(show_turns(first), end="")
    if pair.first == pair.second:
        print("(both captions are the same: this pair is a tie, the model is not asked)")
    return 0


def print_estimate(config: AnnotationConfig, doubts: Doubts) -> int:
    """Print how much there is to ask and what it costs, and stop."""
    if config.annotator_type != "llama":
        raise ConfigError("--estimate is for language models; the other annotators take seconds")
    options = asking_options(config)
    pairs = PairsDataset(config.directory, options.keys)
    captioned = options.captioned(pairs, indices_to_label(config, doubts))
    with contextlib.closing(open_cache(config)) as cache:
        counted = estimate(
            captioned,
            conversations_about(config),
            None if config.backend == "batch" else lambda: make_chat_model(config),
            cache,
            rate=config.rate,
        )
    longest = 1 if config.direct else config.max_new_tokens
    print("\n".join(counted.lines(0 if config.backend == "llamacpp" else config.num_gpus)))
    if config.price_in or config.price_out:
        print(counted.cost(config.price_in or 0, config.price_out or 0, longest))
    return 0
