"""A tokenizer of bytes with one merge, so that a text has more than one tokenisation, and an end of turn."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate([*alphabet, "bl"])}
    backend = Tokenizer(models.BPE(vocabulary, [("b", "l")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|end|>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")


def spell(tokenizer, text):
    """One token per byte: never how the tokenizer itself would encode `bl`."""
    return [token for letter in text for token in tokenizer(letter, add_special_tokens=False)["input_ids"]]
