"""What vLLM is asked in this process, and what is said when it cannot; no real vLLM here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from motif.annotate.chat import Message, ModelError, Request, Sampling
from motif.annotate.engine_vllm import VLLMChatModel
from motif.annotate.refusals import explain_refusal
from motif.errors import MissingPackageError

TURNS = [Message(role="user", content="Hello")]


class FakeLLM:
    """Takes the place of vllm.LLM; remembers what it was given.

    The names of the engine's methods and of their arguments are those of vllm 0.14.0
    (vllm/v1/engine/llm_engine.py), which users install: another would be a TypeError.
    """

    template: str | None = "{{ messages }}"
    failure: Exception | None = None
    refusal: Exception | None = None
    steps = 0
    written = "abc"  # by the template

    def __init__(self, model: str, **arguments: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.arguments = {"model": model, **arguments}
        self.model_config = SimpleNamespace(max_model_len=4096)
        self.llm_engine = self
        self.asked: list[tuple[Any, Any]] = []
        self.under_way: list[Any] = []
        self.templated: list[tuple[Any, dict[str, Any]]] = []

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(
            chat_template=self.template,
            apply_chat_template=self.apply_chat_template,
            encode=lambda text, add_special_tokens: [*map(ord, text)],
        )

    def apply_chat_template(self, turns: Any, **how: Any) -> str:
        self.templated.append((turns, how))
        return self.written

    def add_request(
        self,
        request_id: str,
        prompt: Any,
        params: Any,
        arrival_time: float | None = None,
        lora_request: Any = None,
        tokenization_kwargs: dict[str, Any] | None = None,
        trace_headers: Mapping[str, str] | None = None,
        priority: int = 0,
        prompt_text: str | None = None,
    ) -> None:
        self.asked.append((prompt, params))
        candidate = SimpleNamespace(decoded_token="1", logprob=-0.5)
        logprobs = [{7: candidate}] if params["logprobs"] else None
        said = SimpleNamespace(text="1", token_ids=[7], logprobs=logprobs, finish_reason="stop")
        ids = prompt["prompt_token_ids"]
        self.under_way.append(
            SimpleNamespace(
                request_id=request_id, outputs=[said], prompt_token_ids=ids, finished=True
            )
        )

    def has_unfinished_requests(self) -> bool:
        return bool(self.under_way)

    def step(self) -> list[Any]:
        """Nothing at first, then one answer at a time, the last one asked first."""
        if self.refusal is not None:
            raise self.refusal
        self.steps += 1
        return [self.under_way.pop()] if self.steps % 2 == 0 else []


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[FakeLLM]]:
    """``vllm(gpus=…)`` installs a fake package; no GPUs: the CPU build."""

    def install(*, gpus: int | None = None) -> type[FakeLLM]:
        fake = type("LLM", (FakeLLM,), {})
        package, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
        sampling = ModuleType("vllm.sampling_params")
        package.__dict__.update(LLM=fake, SamplingParams=dict)
        sampling.__dict__.update(RequestOutputKind=SimpleNamespace(FINAL_ONLY="final"))
        platforms.__dict__.update(current_platform=SimpleNamespace(is_cpu=lambda: gpus is None))
        monkeypatch.setitem(sys.modules, "vllm", package)
        monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
        monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus or 0)
        return fake

    return install


def test_what_vllm_is_asked(vllm: Callable[..., Any]) -> None:
    vllm(gpus=8)
    arguments: Mapping[str, Any] = {"quantization": "awq", "enable_prefix_caching": False}
    model = VLLMChatModel("big", Sampling(seed=3), num_gpus=8, engine_args=arguments)
    given = model._llm.arguments
    assert (given["model"], given["tensor_parallel_size"], given["dtype"]) == ("big", 8, "float16")
    assert (given["seed"], given["quantization"]) == (3, "awq")
    assert given["enable_prefix_caching"] is False  # the user has the last word
    assert model.max_model_len == 4096
    model.submit([Request(5, TURNS), Request(6, TURNS)])
    (first,) = model.collect()  # as soon as there is one
    model.submit([Request(7, TURNS)])  # while another is under way
    replies = [first, *model.collect(), *model.collect()]
    assert [(r.tag, r.text, r.prompt_tokens, r.new_tokens) for r in replies] == [
        (tag, "1", 3, 1) for tag in (6, 7, 5)
    ]
    assert model.collect() == []
    turns, how = model._llm.templated[0]
    assert turns == TURNS
    assert (how["add_generation_prompt"], how["continue_final_message"]) == (True, False)
    prompt, parameters = model._llm.asked[0]
    assert prompt == {"prompt_token_ids": [97, 98, 99]}
    assert (parameters["temperature"], parameters["max_tokens"]) == (0.1, 4096)
    model.close()


def test_direct_answers_are_one_token_that_continues(vllm: Callable[..., Any]) -> None:
    vllm()
    model = VLLMChatModel("tiny", Sampling(prefilled=True, logprobs=20))
    model.submit([Request(0, TURNS)])
    (reply,) = model.collect()
    assert reply.first_token == (("1", -0.5),)
    ((_, parameters),), ((_, how),) = model._llm.asked, model._llm.templated
    assert (parameters["max_tokens"], parameters["logprobs"]) == (1, 20)
    assert (how["add_generation_prompt"], how["continue_final_message"]) == (False, True)
    model.close()


@pytest.mark.parametrize("written", ["abc<best: ", "abc<best:"])
def test_a_template_that_strips_keeps_the_blank_before_the_answer(
    vllm: Callable[..., Any], written: str
) -> None:
    vllm().written = written
    model = VLLMChatModel("tiny", Sampling(prefilled=True, logprobs=20))
    model.submit([Request(0, [Message(role="assistant", content="best: ")])])
    ((prompt, _),) = model._llm.asked
    assert prompt == {"prompt_token_ids": [*map(ord, "abc<best: ")]}
    model.close()


def test_a_tokenizer_without_a_template_that_writes_tokens(vllm: Callable[..., Any]) -> None:
    """As Mistral's."""
    vllm().get_tokenizer = lambda llm: SimpleNamespace(
        apply_chat_template=lambda turns, *, tokenize, **how: [1, 3] if tokenize else "<s>[INST]"
    )
    model = VLLMChatModel("mistral", Sampling(), engine_args={"tokenizer_mode": "mistral"})
    model.submit([Request(0, TURNS)])
    ((prompt, _),) = model._llm.asked
    assert prompt == {"prompt_token_ids": [1, 3]}
    model.close()


def test_what_the_chat_template_takes(vllm: Callable[..., Any]) -> None:
    vllm()
    model = VLLMChatModel("tiny", Sampling(), chat_template_kwargs={"enable_thinking": False})
    model.submit([Request(0, TURNS)])
    assert model._llm.templated[0][1]["enable_thinking"] is False
    model.close()


def test_a_prompt_that_is_too_long_is_refused_and_the_others_go_on(
    vllm: Callable[..., Any],
) -> None:
    vllm()
    model = VLLMChatModel("tiny", Sampling())
    add_request, problem = model._llm.add_request, "The prompt is longer than the model length"

    def strict(request_id: str, *arguments: Any) -> None:
        if request_id == "1":
            raise ValueError(problem)
        add_request(request_id, *arguments)

    model._llm.add_request = strict
    model.submit([Request(tag, TURNS) for tag in range(3)])
    replies = [*model.collect(), *model.collect(), *model.collect()]
    assert {reply.tag: reply.refused for reply in replies} == {0: "", 1: problem, 2: ""}
    model.close()


@pytest.mark.parametrize(
    ("gpus", "asked", "problem"),
    [
        (None, 2, "--num-gpus 2, but this vLLM runs on the CPU"),
        (0, 1, "--num-gpus 1, but this machine has 0 GPUs"),
        (1, 8, "--num-gpus 8, but this machine has 1 GPU;"),
    ],
)
def test_too_few_gpus(vllm: Callable[..., Any], gpus: int | None, asked: int, problem: str) -> None:
    vllm(gpus=gpus)
    with pytest.raises(ModelError, match=f"{problem}.*--annotator-type rules"):
        VLLMChatModel("big", Sampling(), num_gpus=asked)


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingPackageError, match=r"pip install '.\[vllm\]'.*--backend openai"):
        VLLMChatModel("big", Sampling())


@pytest.mark.parametrize("kind", [OSError, ValueError, TypeError, RuntimeError])
def test_a_model_that_cannot_be_loaded(vllm: Callable[..., Any], kind: type[Exception]) -> None:
    vllm().failure = kind("no file named model.safetensors\nfound")
    with pytest.raises(ModelError, match=r"cannot load 'big': no file named model\.safetensors f"):
        VLLMChatModel("big", Sampling())


def test_no_chat_template(vllm: Callable[..., Any]) -> None:
    vllm().template = None
    with pytest.raises(ModelError, match="'big' has no chat template, so it is no chat model"):
        VLLMChatModel("big", Sampling())


def test_an_engine_that_dies(vllm: Callable[..., Any]) -> None:
    vllm().refusal = RuntimeError("")
    model = VLLMChatModel("big", Sampling())
    model.submit([Request(0, TURNS)])
    with pytest.raises(ModelError, match="RuntimeError; labels so far are kept"):
        model.collect()


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("System role not supported", "add --system-prompt False"),
        ("Conversation roles must alternate: no system role", "add --system-prompt False"),
        ("no chat template is defined", "tuned for conversations"),
        ("This model's maximum context length is 512 tokens", "raise --max-model-len"),
        ("The prompt (length 600) is longer than the maximum model length", "--max-new-tokens"),
        ("Extra inputs: continue_final_message", "--answer-mode chain_of_thought"),
        ("a fuse blew", "the same command goes on from there"),
    ],
)
def test_refusals_come_with_the_way_out(problem: str, advice: str) -> None:
    assert problem in explain_refusal(problem)
    assert advice in explain_refusal(problem)
