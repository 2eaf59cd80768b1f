"""vLLM in this process. Only what vllm 0.14 and later ones share is used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from motif.annotate.chat import ModelError, Reply, Request, Sampling
from motif.annotate.refusals import INSTEAD, explain_refusal, first_lines, is_too_long
from motif.errors import MissingPackageError
from motif.processes import guarded


class VLLMChatModel:
    """A chat model inside ``vllm.LLM``, whose engine is stepped by hand.

    ``LLM.chat`` would return when the last of its conversations ends, with the batch running empty
    meanwhile, and lose them all to a kill. Replies come one by one here, and what a reply leads to
    is asked while the others are still being answered.

    Args:
        model: a hub id or a folder.
        num_gpus: GPUs that share the model (tensor parallelism).
        engine_args: further arguments for ``vllm.LLM``.
        chat_template_kwargs: what the model's chat template takes, as enable_thinking.

    Raises:
        MissingPackageError: vllm is not installed.
        ModelError: there is no such model, no chat template, or too few GPUs.
    """

    def __init__(
        self,
        model: str,
        sampling: Sampling,
        *,
        num_gpus: int = 1,
        dtype: str = "float16",
        max_model_len: int | None = None,
        engine_args: Mapping[str, Any] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._template = dict(chat_template_kwargs or {})
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout has our results
        try:
            from vllm import LLM
        except ImportError as error:
            raise MissingPackageError(
                f"vllm cannot be imported ({error}); pip install '.[vllm]', with an NVIDIA GPU; "
                + INSTEAD
            ) from None
        _check_devices(num_gpus)
        self._guard = contextlib.ExitStack()
        self._guard.enter_context(guarded())  # its engine would not notice our end
        arguments = {
            "tensor_parallel_size": num_gpus,
            "dtype": dtype,
            "max_model_len": max_model_len,
            "seed": sampling.seed or 0,
            "enable_prefix_caching": True,
            **(engine_args or {}),
        }
        try:
            self._llm = LLM(model, **arguments)
            self._tokenizer = self._llm.get_tokenizer()
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ModelError(f"cannot load {model!r}: {first_lines(error)}; {INSTEAD}") from None
        # Mistral's own tokenizers write conversations without a template, and only as tokens.
        self._writes_tokens = not hasattr(self._tokenizer, "chat_template")
        if not (self._writes_tokens or self._tokenizer.chat_template):
            raise ModelError(
                f"{model!r} has no chat template, so it is no chat model; take one that was tuned "
                "for conversations (its name often ends in chat, instruct or it)"
            )
        self._sampling = sampling
        self._parameters = sampling_parameters(sampling)
        self._refused: list[Reply] = []

    @property
    def max_model_len(self) -> int | None:
        """Tokens that prompt and answer may have together."""
        return int(self._llm.model_config.max_model_len)

    def submit(self, requests: Sequence[Request]) -> None:
        """Hand requests to the engine, which batches and orders them as it likes.

        A prompt that is longer than the model allows is refused, by a reply that says so.

        Raises:
            ModelError: the chat template refuses a role, or the engine died.
        """
        for request in requests:
            try:
                prompt = {"prompt_token_ids": self._tokens(request)}
                self._llm.llm_engine.add_request(str(request.tag), prompt, self._parameters)
            except Exception as error:  # jinja's and vLLM's, which differ between releases
                problem = first_lines(error)
                if not is_too_long(problem):
                    raise ModelError(explain_refusal(problem)) from error
                self._refused.append(Reply(request.tag, "", 0, 0, refused=problem))

    def collect(self) -> list[Reply]:
        """Step the engine until it has answered something.

        Raises:
            ModelError: the engine died.
        """
        engine = self._llm.llm_engine
        replies, self._refused = self._refused, []
        try:
            while not replies and engine.has_unfinished_requests():
                replies = [_reply(output) for output in engine.step() if output.finished]
        except Exception as error:
            raise ModelError(explain_refusal(first_lines(error))) from error
        return replies

    def close(self) -> None:
        """Drop what is under way; vLLM stops its processes when the model is dropped."""
        del self._llm
        self._guard.close()

    def _tokens(self, request: Request) -> list[int]:
        """The conversation as the model's template writes it, special tokens included."""
        text = self._tokenizer.apply_chat_template(
            request.messages,
            tokenize=self._writes_tokens,
            add_generation_prompt=not self._sampling.prefilled,
            continue_final_message=self._sampling.prefilled,
            **self._template,
        )
        if self._writes_tokens:
            return list(text)
        if self._sampling.prefilled:  # some templates strip the turns
            begun = str(request.messages[-1]["content"])
            text += begun[len(begun.rstrip()) :] if text.endswith(begun.rstrip()) else ""
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def sampling_parameters(sampling: Sampling) -> Any:
    """``sampling`` in vLLM's words."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=1.0 if sampling.temperature is None else sampling.temperature,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=1 if sampling.prefilled else sampling.max_new_tokens,
        logprobs=sampling.logprobs or None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _check_devices(num_gpus: int) -> None:
    import torch
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        if num_gpus > 1:
            raise ModelError(
                f"--num-gpus {num_gpus}, but this vLLM runs on the CPU; use --num-gpus 1, or "
                + INSTEAD
            )
        return
    available = torch.cuda.device_count()
    if available < num_gpus:
        raise ModelError(
            f"--num-gpus {num_gpus}, but this machine has {available} "
            f"GPU{'' if available == 1 else 's'}; take a smaller model with fewer, or {INSTEAD}"
        )


def _reply(output: Any) -> Reply:
    completion = output.outputs[0]
    first_token: tuple[tuple[str, float], ...] = ()
    if completion.logprobs:
        first_token = tuple(
            (candidate.decoded_token or "", candidate.logprob)
            for candidate in completion.logprobs[0].values()
        )
    return Reply(
        int(output.request_id),
        completion.text,
        len(output.prompt_token_ids or ()),
        len(completion.token_ids),
        first_token,
        cut=completion.finish_reason == "length" and not first_token,
    )
