"""Settings of stage 1, annotation, and the names of the label sets it makes."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from motif.cli import command, option
from motif.errors import ConfigError
from motif.games.game import GAME_HELP
from motif.pairs_dataset import ORIGIN

LLAMA_2_CHAT = "meta-llama/Llama-2-{size}b-chat-hf"
ANNOTATORS = ("llama", "rules", "score", "return")  # the last three without a language model
GOALS = ("defaultgoal", "zeroknowledge", "combat", "gold", "stairs")  # of the shipped prompts


def or_none(text: str) -> float | None:
    """A number, or None for "none".

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    try:
        return None if text.strip().lower() == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or none, got {text!r}") from None


@dataclass(frozen=True)
class AnnotationConfig:
    """The command line of ``python -m scripts.annotate_pairs_dataset``."""

    directory: Path = option(Path("motif_dataset"), "the pairs dataset")
    game: str = option(ORIGIN["game"], GAME_HELP)
    annotator_type: str = option(
        "llama",
        "who prefers: a language model (llama), message patterns (rules), the game's score at the "
        "end (score), the sum of game rewards over each side (return), or module:Annotator of "
        "your own",
    )
    goal_key: str = option("defaultgoal", f"what good play is: {', '.join(GOALS)}")
    custom_annotator_string: str | None = option(None, "name of the label set, instead of its own")
    n_annotation_chunks: int = option(1, "how many parts the work is split into")
    chunk_number: int = option(0, "which part this run labels, from 0")
    first: int | None = option(None, "label the first so many pairs of the dataset only")
    select: Literal["uniform", "uncertain"] | None = option(
        None,
        "label --budget pairs only: drawn uniformly, or those on which the heads of --reward_dir "
        "disagree most",
    )
    budget: int | None = option(
        None, "for --select: how many labels the set has afterwards, those that it has included"
    )
    select_seed: int = option(777, "of --select uniform")
    reward_dir: Path | None = option(
        None, "for --select uncertain: a run of scripts.train_reward --reward_ensemble 5"
    )
    ignore_existing: bool = option(False, "label this chunk anew, ignoring labels and cache")
    flushing_freq: int = option(1000, "pairs between forced writes to disk")
    rules_file: Path | None = option(None, "your own message patterns, for --annotator-type rules")

    llm_size: Literal[7, 13, 70] = option(70, "billions of parameters of Llama-2-chat", type=int)
    model: str | None = option(None, "any chat model (hub id, folder, served name) instead")
    backend: Literal["vllm", "openai", "llamacpp", "batch"] = option(
        "vllm",
        "engine: vLLM in this process, a server that speaks OpenAI's protocol, llama.cpp, for a "
        "GGUF file on any machine, or files for vllm run-batch or a batch service, collected by a "
        "later run",
    )
    num_gpus: int = option(1, "GPUs that share one model (tensor parallelism)")
    dtype: str = option("float16", "number format of the weights (vLLM in this process)")
    max_model_len: int | None = option(None, "longest prompt with answer, in tokens")
    engine_args: str = option("{}", "JSON object of further arguments for vllm.LLM")
    base_url: str = option("http://localhost:8000/v1", "address of the server")
    extra_body: str = option("{}", "JSON object of further fields of each request to a server")
    extra_headers: str = option(
        "{}", "JSON object of further headers; $NAME in a value is that environment variable"
    )
    extra_query: str = option("{}", "JSON object to add to the address, as ?api-version=…")
    chat_template_kwargs: str = option(
        "{}", 'JSON object for the chat template, as {"enable_thinking": false}'
    )
    api_key_env: str = option("OPENAI_API_KEY", "environment variable that holds the server's key")
    num_workers: int = option(256, "requests under way at once, at a server")
    timeout: float = option(600.0, "seconds until a request to a server counts as failed")
    server_patience: float = option(300.0, "seconds to wait for a server that went away")

    prompt_version: str | None = option(
        None, "wording: default, reworded or short; for ratings: rating or rating_reworded"
    )
    prompt_file: Path | None = option(None, "your own prompts (docs/annotation.md has the format)")
    system_prompt: bool = option(True, "send the system prompt (the release ends up sending none)")
    use_messages: bool = option(True, "describe an observation by its message")
    use_blstats: bool = option(False, "add the bottom line's status to each message")
    answer_mode: Literal["chain_of_thought", "direct", "rating"] = option(
        "chain_of_thought",
        "free reasoning about a pair, or the probabilities of one answer token (direct), or each "
        "distinct message rated once by one token, and ratings compared (rating)",
    )
    tie_margin: float | None = option(
        None,
        "direct: a tie if the two sides' probabilities differ by less (default: 0.1); rating: if "
        "the ratings do",
    )
    tie_share: float | None = option(
        None, "instead: this share of the pairs, the least decided, are ties (rating: 0.1)"
    )
    rating_temperature: float = option(
        1.0, "rating: what differences are divided by, in the probabilities"
    )
    most_captions: int | None = option(
        None, "rating: only so many captions, the commonest; pairs with another stay unknown"
    )
    top_logprobs: int = option(
        20, "direct, rating: candidates asked for; some servers give at most 5"
    )
    min_mass: float = option(
        0.5, "direct, rating: unknown if the answers in question cover less probability"
    )
    temperature: float | None = option(
        0.1, "of sampling; the paper's value, as the next three; none: not sent", type=or_none
    )
    top_p: float | None = option(0.95, "nucleus sampling; none: not sent", type=or_none)
    top_k: int = option(50, "most likely tokens to sample from; 0: all (not sent to a server)")
    max_new_tokens: int = option(4096, "longest answer; the model's length bounds it too")
    seed: int | None = option(
        None, "of sampling; a server is sent one with each request only if this is given"
    )
    batch_size: int = option(
        8192, "prompts handed to the engine at once; it batches them as it likes"
    )
    no_dedupe: bool = option(False, "ask about each pair, even if its captions were seen before")
    cache_dir: Path | None = option(
        None, "folder of answers; default: <directory>/preference/answers"
    )
    reparse: bool = option(
        False, "read the answers that were paid for again, change labels, say which; ask nobody"
    )
    logdir: Path | None = option(None, "folder for one conversation per pair, <pair index>.txt")

    show_prompt: int | None = option(None, "print what would be sent for this pair, and stop")
    estimate: bool = option(False, "print the size and cost of the work, and stop")
    price_in: float | None = option(None, "for --estimate: price of a million prompt tokens")
    price_out: float | None = option(None, "for --estimate: price of a million new tokens")
    rate: float | None = option(
        None, "prompts per second, for --estimate without a trial of the model"
    )

    def __post_init__(self) -> None:
        if self.annotator_type not in ANNOTATORS and ":" not in self.annotator_type:
            raise ConfigError(
                f"--annotator-type {self.annotator_type}: there is {', '.join(ANNOTATORS)}; "
                "your own is named module:Name"
            )
        counts = "n_annotation_chunks num_gpus num_workers batch_size flushing_freq first"
        counts += " max_new_tokens top_logprobs most_captions budget"
        amounts = (
            "select_seed temperature top_k tie_margin min_mass server_patience price_in price_out"
        )
        least = dict.fromkeys(counts.split(), 1) | dict.fromkeys(amounts.split(), 0)
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ConfigError(f"--{name} must be at least {bound}, but is {value}")
        for name in ("timeout", "rate", "rating_temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"--{name} must be above 0, but is {value}")
        if not 0 <= self.chunk_number < self.n_annotation_chunks:
            raise ConfigError(
                f"--chunk_number must be 0 to {self.n_annotation_chunks - 1}, "
                f"but is {self.chunk_number}"
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"--top_p must be above 0 and at most 1, but is {self.top_p}")
        if (self.select is None) != (self.budget is None):
            raise ConfigError(
                f"--budget {self.budget}: chosen how? add --select uniform or uncertain"
                if self.select is None
                else f"--select {self.select}: how many labels? add --budget 5000"
            )
        if (self.select == "uncertain") != (self.reward_dir is not None):
            raise ConfigError(
                "--select uncertain asks the heads of a trained ensemble, and they are named by "
                f"--reward_dir; train one: {command('reward', reward_ensemble=5)} …"
            )
        if self.backend == "batch" and self.no_dedupe:
            raise ConfigError(
                "--no_dedupe asks the same twice, and a batch knows a request by what it asks; "
                "leave it out, or take --backend openai"
            )
        if self.tie_share is not None and not (
            0 <= self.tie_share <= 1
            and self.tie_margin is None
            and self.answer_mode != "chain_of_thought"
        ):
            raise ConfigError(
                f"--tie-share {self.tie_share}: a share, 0 to 1, with --answer-mode direct or "
                "rating, and without --tie-margin"
            )
        if self.rating and (self.no_dedupe or self.logdir is not None):
            raise ConfigError(
                "--answer-mode rating rates each message once, whatever its pairs: it takes no "
                "--no-dedupe and no --logdir (<annotator>.ratings.csv is what there is to see)"
            )
        if not (self.use_messages or self.use_blstats):
            raise ConfigError("nothing to describe: --use_messages and --use_blstats are both off")
        if re.search(r"[/\\\0]|^\.|^$", self.annotator) or not self.annotator.isprintable():
            raise ConfigError(f"{self.annotator!r} cannot be the name of a label set")

    @property
    def direct(self) -> bool:
        """Whether one answer token's probabilities are asked for, and no reasoning."""
        return self.answer_mode == "direct"

    @property
    def rating(self) -> bool:
        """Whether messages are rated, and not pairs asked about."""
        return self.answer_mode == "rating"

    @property
    def ties(self) -> dict[str, float]:
        """The rule that makes ties, by its flag: provenance, too."""
        if self.tie_share is not None or (self.rating and self.tie_margin is None):
            return {"tie_share": 0.1 if self.tie_share is None else self.tie_share}
        return {"tie_margin": 0.1 if self.tie_margin is None else self.tie_margin}

    @property
    def wording(self) -> str:
        """The prompt's name."""
        if self.prompt_file is not None:
            return self.prompt_file.stem
        return self.prompt_version or ("rating" if self.rating else "default")

    @property
    def model_name(self) -> str:
        """The chat model's hub id, folder or served name."""
        return self.model or LLAMA_2_CHAT.format(size=self.llm_size)

    @property
    def annotator(self) -> str:
        """The label set's name: what it is made by, of and for."""
        if self.custom_annotator_string is not None:
            return self.custom_annotator_string
        if self.annotator_type in ("score", "return"):
            return self.annotator_type
        if self.annotator_type == "rules":
            return f"rules_msg_{self.goal_key}"
        if self.annotator_type != "llama":
            return self.annotator_type.rpartition(":")[2].lower()
        model = _name_of(self.model) if self.model else f"llama{self.llm_size}b"
        seen = ("msg_" if self.use_messages else "") + ("minbl_" if self.use_blstats else "")
        mode = "" if self.answer_mode == "chain_of_thought" else f"_{self.answer_mode}"
        mode = "" if self.wording.startswith(mode[1:]) else mode
        return f"{model}_{seen}{self.goal_key}_{self.wording}{mode}"


def _name_of(model: str) -> str:
    """A model id or path as part of a file name: its last component, in plain characters."""
    last = model.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9.-]+", "-", last).strip("-.") or "model"
