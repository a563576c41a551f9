"""A Llama that babbles, its tokenizer with several tokenisations of a text, and chat templates."""

from collections.abc import Sequence
from functools import cache

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agents.conversation_tokens import ConversationTokens, Prompt
from ssp_env.game import Message, Reply, View

CHATML = (
    "{% for message in messages %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# Shows tools, writes calls and has a role for results, the way Qwen's and Hermes' templates do.
TOOL_CHATML = (
    "{% if tools %}<|start|>system\n{{ tools | tojson }}<|end|>\n{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'tool' %}"
    "<|start|>user\n<tool_response>\n{{ message.content }}\n</tool_response><|end|>\n"
    "{% else %}"
    "<|start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}"
    '{{ "\n" }}<tool_call>\n{"name": "{{ call.function.name }}", '
    '"arguments": {{ call.function.arguments | tojson }}}'
    "\n</tool_call>"
    "{% endfor %}<|end|>\n"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TAGS = ["<search>", "</search>", "<question>", "</question>", "<answer>", "</answer>"]
QUESTION = Message("user", "What do blue whales eat?")


def build_tokenizer(template: str | None = CHATML, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A token per byte and per word, and one merge, so that a text has more than one tokenisation."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate([*alphabet, "bl"])}
    backend = Tokenizer(models.BPE(vocabulary, [("b", "l")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|start|>", special=True), AddedToken("<|end|>", special=True)])
    backend.add_tokens([AddedToken(word, normalized=False) for word in words])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = template
    return made


def build_model(tokens: int, seed: int = 0, **options: object) -> LlamaForCausalLM:
    """A random Llama with two layers and grouped attention."""
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 8192,
    }
    config = LlamaConfig(
        vocab_size=tokens,
        num_key_value_heads=2,
        initializer_range=0.3,
        **(sizes | options),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


@cache
def babbler() -> LlamaForCausalLM:
    """A shared model that no test may change."""
    return build_model(len(build_tokenizer(words=TAGS)))


def view_of(*messages: Message, phase: str = "solve", seat: str = "solver_0", **fields: object) -> View:
    options = {"game_id": "g", "turns_left": 5, "searches_left": 5} | fields
    return View(seat=seat, phase=phase, messages=messages, **options)  # type: ignore[arg-type]


def spell(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """One token per byte: never how the tokenizer itself would encode `bl`."""
    return [id_ for letter in text for id_ in tokenizer(letter, add_special_tokens=False)["input_ids"]]


def dictate(conversations: ConversationTokens, view: View, said: str | list[int]) -> tuple[Prompt, Reply]:
    """Let a model say a text, spelled letter by letter, as long as the conversation lets it go on."""
    prompt, sampled = conversations.prompt(view), []
    for id_ in said if isinstance(said, list) else spell(conversations.tokenizer, said):
        sampled.append(id_)
        if conversations.is_finished(view, sampled):
            break
    return prompt, conversations.reply(view, prompt, sampled, [-1.0] * len(sampled))
