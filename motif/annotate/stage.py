"""Stage 1 as one call: open the dataset, make the annotator, label a chunk, say what came out."""

from __future__ import annotations

from motif.annotate.annotator import Annotator, annotate_chunk
from motif.annotate.config import AnnotationConfig
from motif.pairs_dataset import PairsDataset
from motif.preference import PreferenceChunk, count_labels, load_preferences


def make_annotator(config: AnnotationConfig) -> Annotator:
    """The annotator of ``config.annotator_type``."""
    if config.annotator_type == "rules":
        from motif.annotate.rules import RulesAnnotator

        return RulesAnnotator(config.goal_key, config.rules_file)
    if config.annotator_type == "score":
        from motif.annotate.game_progress import ScoreAnnotator

        return ScoreAnnotator()
    if config.annotator_type == "return":
        from motif.annotate.game_progress import ReturnAnnotator

        return ReturnAnnotator()
    raise NotImplementedError


def annotate(config: AnnotationConfig) -> int:
    """Run stage 1 as ``config`` says; the exit status.

    Raises:
        MotifError: something the user can put right; labels so far are kept.
    """
    annotator = make_annotator(config)
    pairs = PairsDataset(config.directory, keys=annotator.keys)
    chunk = PreferenceChunk(
        pairs,
        config.annotator,
        annotator.source,
        chunk=config.chunk_number,
        chunks=config.n_annotation_chunks,
        ignore_existing=config.ignore_existing,
        probabilities=config.answer_mode == "direct" and config.annotator_type == "llama",
    )
    with chunk:
        missing = annotate_chunk(pairs, annotator, chunk, flushing_freq=config.flushing_freq)
    report(config, pairs, chunk, missing)
    return 0


def report(
    config: AnnotationConfig, pairs: PairsDataset, chunk: PreferenceChunk, missing: list[int]
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
    if counts["unknown"]:
        print("unknown pairs are asked again by the same command")
    print(
        f"next: python -m scripts.train_reward --dataset_dir {config.directory} "
        f"--annotator {config.annotator} --experiment {config.annotator}"
    )
