"""Settings of stage 1: the release's command lines, names of label sets, bad values."""

from __future__ import annotations

import shlex

import pytest

from motif.annotate.config import AnnotationConfig
from motif.cli import parse_config


def parse(line: str) -> AnnotationConfig:
    return parse_config(AnnotationConfig, shlex.split(line), None)


def test_the_documented_line_is_accepted() -> None:
    config = parse(
        "--directory motif_dataset --prompt-version default --goal-key defaultgoal "
        "--n-annotation-chunks 1 --chunk-number 0 --llm-size 70 --num-gpus 8"
    )
    assert config.model_name == "meta-llama/Llama-2-70b-chat-hf"
    assert (config.temperature, config.top_p, config.top_k) == (0.1, 0.95, 50)
    assert (config.max_new_tokens, config.dtype, config.num_gpus) == (4096, "float16", 8)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("", "llama70b_msg_defaultgoal_default"),
        ("--llm-size 7", "llama7b_msg_defaultgoal_default"),
        ("--llm-size 13 --goal-key combat", "llama13b_msg_combat_default"),
        ("--prompt-version reworded", "llama70b_msg_defaultgoal_reworded"),
        ("--use-blstats", "llama70b_msg_minbl_defaultgoal_default"),
        ("--use_blstats True", "llama70b_msg_minbl_defaultgoal_default"),
        ("--use-blstats False", "llama70b_msg_defaultgoal_default"),
        ("--annotator-type score", "score"),
        ("--annotator-type return", "return"),
        ("--annotator-type rules --goal-key gold", "rules_msg_gold"),
        ("--custom-annotator-string mine", "mine"),
        ("--model Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct_msg_defaultgoal_default"),
        ("--model /models/my model/", "my-model_msg_defaultgoal_default"),
        ("--prompt-file x/paper.yaml", "llama70b_msg_defaultgoal_paper"),
        ("--answer-mode direct", "llama70b_msg_defaultgoal_default_direct"),
    ],
)
def test_default_names(line: str, name: str) -> None:
    line = line.replace("/models/my model/", "'/models/my model/'")
    assert parse(line).annotator == name


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--n-annotation-chunks 0", "n_annotation_chunks must be at least 1"),
        ("--n-annotation-chunks 2 --chunk-number 2", "chunk_number must be 0 to 1"),
        ("--chunk-number -1", "chunk_number must be 0 to 0"),
        ("--num-workers 0", "num_workers must be at least 1"),
        ("--batch-size 0", "batch_size must be at least 1"),
        ("--top-p 1.5", "top_p must be above 0"),
        ("--temperature -1", "temperature must be at least 0"),
        ("--use-messages False", "nothing to describe"),
        ("--use-messages maybe", "expected True or False"),
        ("--custom-annotator-string a/b", "cannot be the name of a label set"),
        ("--llm-size 8", "invalid choice"),
        (
            "--annotator-type gpt",
            "--annotator-type gpt: there is llama, rules",
        ),
    ],
)
def test_bad_values_are_named(line: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(line)
    assert stop.value.code == 2
    assert problem in capsys.readouterr().err
