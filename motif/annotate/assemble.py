"""From the command line's settings to a language model annotator: prompt, engine, cache, source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motif.annotate.annotator import Annotator
from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.captions import Captioned
from motif.annotate.chat import ChatModel, Message, Sampling
from motif.annotate.config import AnnotationConfig
from motif.annotate.convert import ORIGIN
from motif.annotate.engine_batch import REQUESTS, BatchChatModel
from motif.annotate.gguf import identify_gguf
from motif.annotate.language_model import AskingOptions, LanguageModelAnnotator
from motif.annotate.prompt import Prompt, load_prompt, shipped_prompt
from motif.annotate.rating import RatingAnnotator
from motif.annotate.rating_prompt import RatingPrompt, load_rating_prompt
from motif.data_files import read_json
from motif.errors import ConfigError

Conversations = dict[bytes, list[list[Message]]]
WEIGHT_ARGUMENTS = ("quantization", "revision", "load_format", "hf_overrides", "tokenizer")
TAIL = 1 << 16  # bytes of a weight file that stand for its content
AFTERWARDS = ("tie_margin", "tie_share", "min_mass", "rating_temperature")  # answers don't know
SAMPLING = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")


def make_prompt(config: AnnotationConfig) -> Prompt:
    """The wording and goal that ``config`` asks for.

    Raises:
        ConfigError: there is none such, or the file is wrong.
    """
    return load_prompt(_prompt_path(config), config.goal_key, system_prompt=config.system_prompt)


def make_rating_prompt(config: AnnotationConfig) -> RatingPrompt:
    """The same, of prompts that rate."""
    path = _prompt_path(config)
    return load_rating_prompt(path, config.goal_key, system_prompt=config.system_prompt)


def _prompt_path(config: AnnotationConfig) -> Path:
    if config.prompt_file is not None:
        return config.prompt_file
    return shipped_prompt(config.wording, game=config.game, rating=config.rating)


def make_chat_model(config: AnnotationConfig) -> ChatModel:
    """Load the model, or connect to its server.

    Raises:
        ModelError: that cannot be done.
        MissingPackageError: the engine is not installed.
    """
    sampling = Sampling(**{name: getattr(config, name) for name in SAMPLING})
    if config.direct or config.rating:
        # The candidates' probabilities are those before sampling, whatever the temperature.
        sampling = Sampling(
            None if config.temperature is None else 0.0,
            None if config.top_p is None else 1.0,
            top_k=0,
            max_new_tokens=1,
            seed=config.seed,
            prefilled=config.direct,
            logprobs=config.top_logprobs,
        )
    template = json_object("chat-template-kwargs", config.chat_template_kwargs)
    extra_body = {
        **({"chat_template_kwargs": template} if template else {}),
        **json_object("extra-body", config.extra_body),
    }
    if config.backend == "llamacpp":
        from motif.annotate.engine_llamacpp import LlamaCppChatModel

        return LlamaCppChatModel(
            Path(config.model_name),
            sampling,
            max_model_len=config.max_model_len,
            concurrency=config.num_workers,
            extra_body=extra_body,
        )
    if config.backend == "batch":
        return BatchChatModel(
            config.model_name,
            sampling,
            folder=batch_folder(config),
            name=request_files_name(config),
            max_model_len=config.max_model_len,
            extra_body=extra_body,
        )
    if config.backend == "openai":
        from motif.annotate.engine_openai import OpenAIChatModel

        return OpenAIChatModel(
            config.model_name,
            sampling,
            base_url=config.base_url,
            api_key_env=config.api_key_env,
            concurrency=config.num_workers,
            timeout=config.timeout,
            patience=config.server_patience,
            extra_body=extra_body,
            headers=json_object("extra-headers", config.extra_headers),
            query=json_object("extra-query", config.extra_query),
        )
    from motif.annotate.engine_vllm import VLLMChatModel

    return VLLMChatModel(
        config.model_name,
        sampling,
        num_gpus=config.num_gpus,
        dtype=config.dtype,
        max_model_len=config.max_model_len,
        engine_args=json_object("engine-args", config.engine_args),
        chat_template_kwargs=template,
    )


def batch_folder(config: AnnotationConfig) -> Path:
    """Where requests and answers of ``--backend batch`` lie."""
    return config.directory / "preference" / "batches" / _asked_digest(config)


def request_files_name(config: AnnotationConfig) -> str:
    """What the names of this chunk's files of requests begin with."""
    chunks = config.n_annotation_chunks
    return f"{REQUESTS}_{config.chunk_number}-of-{chunks}" if chunks > 1 else REQUESTS


def json_object(flag: str, text: str) -> dict[str, Any]:
    """The JSON object that a flag's value is.

    Raises:
        ConfigError: it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--{flag} is no JSON ({error}): {text!r}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"--{flag} must be a JSON object, not {text!r}")
    return value


def asking_options(config: AnnotationConfig) -> AskingOptions:
    """How pairs become questions, and answers labels."""
    return AskingOptions(
        use_messages=config.use_messages,
        use_blstats=config.use_blstats,
        direct=config.direct,
        tie_margin=config.ties.get("tie_margin", 0.0),
        min_mass=config.min_mass,
        dedupe=not config.no_dedupe,
        window=config.batch_size,
    )


def make_language_model_annotator(config: AnnotationConfig, *, asking: bool = True) -> Annotator:
    """The annotator; its model is loaded when the first question comes up, if it may ask."""
    cache, source, options = open_cache(config), describe_source(config), asking_options(config)
    make_model = (lambda: make_chat_model(config)) if asking else None
    annotator: Annotator
    if config.rating:
        annotator = RatingAnnotator(
            make_rating_prompt(config),
            make_model,
            cache,
            source=source,
            options=options,
            temperature=config.rating_temperature,
            most=config.most_captions,
        )
    else:
        annotator = LanguageModelAnnotator(
            make_prompt(config),
            make_model,
            cache,
            source=source,
            options=options,
            logdir=config.logdir,
        )
    annotator.tie_share = config.ties.get("tie_share")
    return annotator


def conversations_about(config: AnnotationConfig) -> Callable[[Captioned], Conversations]:
    """What would be asked about a pair: conversations, by the key of their answer."""
    options = asking_options(config)
    if config.rating:
        prompt = make_rating_prompt(config)
        return lambda pair: {
            answer_key(text): [prompt.conversation(text)] for text in (pair.first, pair.second)
        }
    mode = options.mode(make_prompt(config))

    def ask(pair: Captioned) -> Conversations:
        question = options.question(pair)
        turned = question.pairs[0][1]  # the pair as the dataset has it comes first
        asked = {swapped: mode.open(question, swapped) for swapped in mode.orders}
        return {question.key: [asked[turned], *(asked[o] for o in asked if o != turned)]}

    return ask


def open_cache(config: AnnotationConfig) -> AnswerCache:
    """The answers that runs with the same prompt, model and sampling have got so far."""
    root = config.cache_dir or config.directory / "preference" / "answers"
    earlier = [_digest(_asked(config))]  # versions that kept labels without what was answered
    if (
        config.answer_mode == "chain_of_thought"
    ):  # and those that took the beginning of direct answers for a part of it
        prompt = make_prompt(config)  # shipped ones ended in a quote
        earlier += [
            _digest(_asked(config) | {"prompt": prompt.asked_digest(prompt.direct_prefill + end)})
            for end in ("", '"')
        ]
    folders = [root / name for name in earlier]
    return AnswerCache(root / _asked_digest(config), folders, fresh=config.ignore_existing)


def _asked(config: AnnotationConfig) -> dict[str, Any]:
    source = describe_source(config)
    return {key: value for key, value in source.items() if key not in AFTERWARDS}


def _asked_digest(config: AnnotationConfig) -> str:
    """A name for all that the model is asked, beside the captions, and how it samples."""
    if config.rating:
        digest = make_rating_prompt(config).asked_digest
    else:
        prompt = make_prompt(config)
        digest = prompt.asked_digest(*([prompt.direct_prefill] if config.direct else []))
    return _digest(_asked(config) | {"prompt": digest})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def describe_source(config: AnnotationConfig) -> dict[str, Any]:
    """All that the labels depend on beside the dataset: provenance, and the cache's key."""
    prompt = make_rating_prompt(config) if config.rating else make_prompt(config)
    source: dict[str, Any] = {
        "type": "llm",
        "model": _identify_model(config),
        "goal": config.goal_key,
        "prompt": {
            "version": prompt.version,
            "digest": prompt.digest,
            "system_prompt": config.system_prompt,
        },
        "captions": {"messages": config.use_messages, "blstats": config.use_blstats},
        "answer_mode": config.answer_mode,
        "dedupe": not config.no_dedupe,
    }
    for name in ("extra_body", "chat_template_kwargs"):
        value = json_object(name.replace("_", "-"), getattr(config, name))
        source |= {name: value} if value else {}
    if config.rating:
        source |= {"rating_temperature": config.rating_temperature}
    if config.direct or config.rating:
        return source | {**config.ties, "min_mass": config.min_mass}
    return source | {"sampling": {name: getattr(config, name) for name in SAMPLING}}


def _identify_model(config: AnnotationConfig) -> dict[str, Any]:
    if config.backend == "llamacpp":
        return identify_gguf(Path(config.model_name))
    if config.backend != "vllm":
        return {"name": config.model_name, "weights": "as served"}
    arguments = json_object("engine-args", config.engine_args)
    weights = {key: arguments[key] for key in WEIGHT_ARGUMENTS if key in arguments}
    model: dict[str, Any] = {"name": config.model_name, "dtype": config.dtype, **weights}
    folder = Path(config.model_name)
    if folder.is_dir():
        model |= {"name": folder.resolve().name, "digest": _digest_of_folder(folder)}
        if (folder / ORIGIN).is_file():
            model["converted_from"] = read_json(folder / ORIGIN)
    return model


def _digest_of_folder(folder: Path) -> str:
    """A name for a model's content: its settings, and the end of each file of weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja", ".model", ".safetensors", ".bin", ".gguf"):
            digest.update(f"{path.name} {path.stat().st_size} ".encode())
            with path.open("rb") as file:
                file.seek(max(path.stat().st_size - TAIL, 0))
                digest.update(file.read())
    return digest.hexdigest()[:16]
