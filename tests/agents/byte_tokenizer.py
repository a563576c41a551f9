"""A tokenizer of bytes with one merge, so that a text has more than one tokenisation, and an end of turn."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END = "<|end|>"


def byte_backend():
    """The tokenizer itself, which starts faster than what transformers puts around it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate([*alphabet, "bl"])}
    backend = Tokenizer(models.BPE(vocabulary, [("b", "l")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(END, special=True)])
    return backend


def byte_tokenizer():
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=byte_backend(), eos_token=END, pad_token=END)


def spell(backend, text):
    """One token per byte: never how the tokenizer itself would encode `bl`."""
    return [token for letter in text for token in backend.encode(letter).ids]
