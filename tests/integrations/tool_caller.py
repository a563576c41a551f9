"""A tiny language model that knows conversations with a search tool by heart, made without a network."""

STEPS = 150
EOS, PAD = "<|im_end|>", "<|endoftext|>"


def call(query):
    function = {"name": "search", "arguments": {"query": query}}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": function}],
    }


def shown(text):
    return {"role": "tool", "name": "search", "content": text}


def answer(text):
    return {"role": "assistant", "content": text}


def build(folder, conversations, schema):
    """Save a model that continues each conversation, after its first message, as often as any other."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl.chat_template_utils import get_training_chat_template

    tokenizer = _tokenizer()
    template = get_training_chat_template(tokenizer)
    texts = [
        tokenizer.apply_chat_template(messages, tools=[schema], chat_template=template, tokenize=False)
        for messages in conversations
    ]
    tokenizer = _tokenizer(texts)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=2048, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(STEPS):
            loss = model(**batch, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(texts=()):
    """Byte-pair encoding with the merges of `texts`, and the chat template of Qwen3."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from trl.chat_template_utils import qwen3_chat_template

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=[PAD, "<|im_start|>", EOS],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, chat_template=qwen3_chat_template, eos_token=EOS, pad_token=PAD
    )
