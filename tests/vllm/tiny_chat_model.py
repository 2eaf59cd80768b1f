"""A tiny chat model of the Llama architecture that judges messages, trained in a minute or two.

PYTHONPATH=. python tests/vllm/tiny_chat_model.py --output runs/tiny

No weights can be shipped or downloaded here, so tests of the annotation make their
own: a tokenizer trained on the prompts, and a model trained on synthetic conversations in which the
rules annotator decides. It is good for nothing else. Needs torch and transformers; vllm has both.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.synthetic_pairs import message_texts
from motif.annotate.prompt import Prompt, load_shipped_prompt
from motif.annotate.rules import RulesAnnotator
from motif.cli import option, parse_config, run

MONSTERS = (
    "newt",
    "jackal",
    "sewer",
    "rat",
    "grid",
    "bug",
    "lichen",
    "gnome",
    "kobold",
    "fox",
    "goblin",
    "hill",
    "orc",
    "acid",
    "blob",
)
ITEMS = (
    "dart",
    "dagger",
    "apple",
    "corpse",
    "scroll",
    "potion",
    "wand",
    "spellbook",
    "ring",
    "cloak",
    "helmet",
    "boulder",
)
TEMPLATES = (
    "You kill the {monster}!",
    "You hit the {monster}.",
    "You miss the {monster}.",
    "The {monster} bites!",
    "The {monster} misses!",
    "You see here a {item}.",
    "You see here {number} {item}s.",
    "{letter} - a {item}.",
    "$ - {number} gold pieces.",
    "You descend the stairs.",
    "You climb up the stairs.",
    "It's a wall.",
    "It's solid stone.",
    "This door is locked.",
    "The door opens.",
    "You stop.  Your kitten is in the way.",
    "You find a hidden door.",
    "You are beginning to feel hungry.",
    "You fall into a pit!",
    "Welcome to experience level {digit}.",
    "You have a little trouble lifting {letter} - {number} {item}s.",
    "There is a staircase down here.",
    "What a pity, the {item} is cursed.",
    "",
)
BENCHMARKS = message_texts(np.random.default_rng(0))
GRADES = ((-100, "awful"), (-3, "bad"), (0, "plain"), (1, "fair"), (3, "good"), (5, "great"))
# Every word occurs once, so that the next one follows from the last: learnt in seconds.
REASONING = (
    "NetHack sends its players through dungeons full of monsters; treasure waits there as well, "
    "yet death often comes sooner than fame. Now let me think about what these two short "
    "descriptions say, without adding anything from outside: which facts can be read, who "
    "gained strength or lost time, where danger might have been, and how all that "
    "compares for somebody who wants points. "
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "{% if not loop.last or m['role'] != 'assistant' or not continue_final_message %}"
    "{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
PEAK_RATE = 3e-3
IGNORED = -100  # a target that the loss passes over


@dataclass(frozen=True)
class TinyConfig:
    """Settings of the tiny model."""

    output: Path = option(Path("runs/tiny_chat_model"), "folder to write the model to")
    steps: int = option(360, "optimiser steps")
    batch_size: int = option(24, "conversations a step")
    hidden_size: int = option(128, "width; heads are 64 wide")
    layers: int = option(3, "transformer layers")
    seed: int = option(0, "of data and weights")


def random_message(rng: random.Random) -> str:
    """A message as NetHack might show it, or one of the benchmarks'."""
    if rng.random() < 0.5:
        return rng.choice(BENCHMARKS)
    return rng.choice(TEMPLATES).format(
        monster=rng.choice(MONSTERS),
        item=rng.choice(ITEMS),
        number=rng.randint(2, 40),
        digit=rng.randint(2, 9),
        letter=rng.choice("abcdefghij"),
    )


def grade(value: float) -> str:
    """A word for a message's worth by the rules."""
    return [word for bound, word in GRADES if value >= bound][-1]


def reply(prompt: Prompt, first: str, second: str) -> tuple[str, str]:
    """What the tiny model is to say of two grades after its reasoning, and the answer alone.

    Two awful ones leave it without a decision at first, so that the retry has work to do.
    """
    words = [word for _, word in GRADES]
    ranks = words.index(first), words.index(second)
    answer = "None" if ranks[0] == ranks[1] else "1" if ranks[0] > ranks[1] else "2"
    verdict = f"First: {first}, second: {second}. "
    key = prompt.direct_prefill.strip('("').split('"')[0]
    decision = f'("{key}": {answer})'
    return verdict + ("Hard to say." if first == second == "awful" else decision), answer


class Conversations:
    """Endless synthetic training examples, as token ids and targets."""

    def __init__(self, tokenizer: Any, prompts: Sequence[Prompt], seed: int) -> None:
        self.tokenizer, self.prompts = tokenizer, prompts
        self.rng = random.Random(seed)
        self.rules = RulesAnnotator("defaultgoal")
        self.end = tokenizer.token_to_id("<|end|>")
        words = " ".join([word for _, word in GRADES] + ['"1 "2 "None', "1 2 None"])
        self.decisive = {*self._ids(" " + words), *self._ids("1"), *self._ids("2")}
        self.decisive |= set(self._ids("None"))
        self.all, self.none = set(range(tokenizer.get_vocab_size())), set[int]()

    def example(self, shared_tokens: int | None) -> tuple[list[int], list[int]]:
        """One conversation; of the shared text before the captions, so many tokens at most."""
        prompt = self.rng.choice(self.prompts)
        captions = [random_message(self.rng) for _ in range(2)]
        first, second = (grade(self.rules.value(text)) for text in captions)
        said, answer = reply(prompt, first, second)
        user = prompt.conversation(*captions)[-1]["content"]
        opening = f"<|begin|><|system|>{prompt.system}<|end|><|user|>"
        cut = user.index("{\n")
        shared = self._ids(opening + user[:cut])
        if shared_tokens is not None:
            shared = shared[-self.rng.randint(1, shared_tokens) :]
        asked = shared + self._ids(user[cut:] + "<|end|><|assistant|>")
        reasoning, verdict = self._ids(REASONING), [*self._ids(said), self.end]
        kind = self.rng.random()
        if kind < 0.4:  # the answer alone, as direct mode asks for it
            turn = [(self._ids(prompt.direct_prefill) + self._ids(answer), self.decisive)]
        elif kind < 0.8 and shared_tokens is not None:  # to the point: most of what is to be learnt
            turn = [(verdict, self.decisive)]
        else:
            turn = [(reasoning + verdict, self.all)]
            if "Hard to say" in said:
                retry = self._ids(f"<|user|>{prompt.retry}<|end|><|assistant|>")
                decision = [*self._ids(f"{prompt.direct_prefill[:-1]}{answer})"), self.end]
                turn += [(retry, self.none), (decision, self.all)]
        ids, targets = list(asked), [IGNORED] * len(asked)
        for tokens, learnt in turn:
            ids += tokens
            targets += [token if token in learnt else IGNORED for token in tokens]
        return ids, targets

    def batch(self, size: int, shared_tokens: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Padded ids and targets, (B, length)."""
        examples = [self.example(shared_tokens) for _ in range(size)]
        longest = max(len(ids) for ids, _ in examples)
        ids = torch.zeros(size, longest, dtype=torch.long)
        targets = torch.full((size, longest), IGNORED)
        for row, (tokens, wanted) in enumerate(examples):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            targets[row, : len(wanted)] = torch.tensor(wanted)
        return ids, targets

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids


def train_tokenizer(prompts: Sequence[Prompt], seed: int) -> Any:
    """Byte-level pairs, learnt from the prompts, the answers and synthetic messages."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    def corpus() -> Iterator[str]:
        rng = random.Random(seed)
        for prompt in prompts:
            yield from [f"{prompt.system}\n{prompt.template}\n{prompt.retry}"] * 20
            yield from [REASONING + reply(prompt, a, b)[0] for _, a in GRADES for _, b in GRADES]
        yield from (random_message(rng) for _ in range(5000))

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def train(config: TinyConfig) -> int:
    """Train tokenizer and model, and write both in Hugging Face's layout."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(config.seed)
    prompts = [load_shipped_prompt("default", "defaultgoal")]
    tokenizer = train_tokenizer(prompts, config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=config.hidden_size,
            intermediate_size=2 * config.hidden_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.hidden_size // 64,
            max_position_embeddings=2048,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            tie_word_embeddings=True,
        )
    )
    conversations = Conversations(tokenizer, prompts, config.seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98))
    importance = torch.ones(tokenizer.get_vocab_size())
    importance[list(conversations.decisive)] = 10.0  # one token in thirty, but the one that counts
    for step in range(1, config.steps + 1):
        spent = step / config.steps
        # Short prompts first: most of a real prompt is the same for all pairs.
        shared = 30 if spent < 0.75 else None
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1, step / 30) * (1 - 0.9 * spent)
        ids, targets = conversations.batch(config.batch_size // (1 if shared else 3), shared)
        wanted = targets[:, 1:] != IGNORED
        hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state[wanted]
        loss = torch.nn.functional.cross_entropy(
            model.lm_head(hidden), targets[:, 1:][wanted], weight=importance
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step} of {config.steps}: loss {loss.item():.4f}", flush=True)
    save(config.output, model, tokenizer)
    print(f"written to {config.output}")
    return 0


def save(output: Path, model: Any, tokenizer: Any) -> None:
    """The folder as Hugging Face's loaders expect it."""
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output)
    tokenizer.save(str(output / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin|>",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(TinyConfig, argv, __doc__)
    return run(lambda: train(config))


if __name__ == "__main__":
    sys.exit(main())
