"""The tiny model and its word-level tokenizer: sizes, seeds, and what is on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.tiny_model import build_model, build_tokenizer, load, save
from baselines.config import preset
from ssp_env.game import PROTOCOLS, Task
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.prompts import prompt_style
from ssp_env.game.task import MAX_TASK_HOPS
from ssp_env.worlds import World, WorldConfig
from tests.agents.tiny import SIZES, TERSE, TOKENIZER, VOCABULARY, ids_of, tiny_model

TAGS = (TERSE.think, TERSE.search, TERSE.question, TERSE.answer, TERSE.observation)
UNKNOWN = TOKENIZER.unk_token_id


def encode(text: str) -> list[int]:
    return TOKENIZER.backend_tokenizer.encode(text).ids


# -- the tokenizer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_is_one_token(tag: str):
    opening, word, closing = encode(TERSE.wrap(tag, VOCABULARY[0]))
    assert UNKNOWN not in (opening, word, closing)
    assert TOKENIZER.convert_ids_to_tokens([opening, closing]) == [f"<{tag}>", f"</{tag}>"]


@pytest.mark.parametrize("notice", TERSE.notices)
def test_every_notice_is_one_token(notice: str):
    assert len(encode(TERSE.notify(notice))) == 3  # type: ignore[arg-type]
    assert UNKNOWN not in encode(TERSE.notify(notice))  # type: ignore[arg-type]


@pytest.mark.parametrize("hops", range(1, MAX_TASK_HOPS + 1))
def test_every_hop_count_can_be_asked_for(hops: int):
    (message,) = prompt_style("terse").proposer(TERSE_RULES, Task(VOCABULARY[0], hops=hops))
    assert UNKNOWN not in encode(message.content)
    assert len(encode(message.content)) == len(message.content.split())


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(["train", "heldout"]), st.integers(1, 4))
def test_all_that_a_world_and_its_prompts_say_is_one_token_a_word(index: int, split: str, hops: int):
    world = World(WorldConfig(index=index, split=split))  # type: ignore[arg-type]
    (gold,) = world.questions(hops, 1, np.random.default_rng(0))
    pages = list(world.passages())
    style = prompt_style("terse")
    messages = (*style.solver(TERSE_RULES, gold.question), *style.reader(TERSE_RULES, gold.question, pages))
    text = " ".join([TERSE.observe(pages), gold.question, gold.answer, *(m.content for m in messages)])
    assert encode(text) == ids_of(text)
    assert UNKNOWN not in encode(text)
    assert TOKENIZER.convert_ids_to_tokens(encode(text)) == text.split()


def test_an_unknown_word_becomes_the_unknown_token_and_nothing_is_added():
    assert encode(f"{VOCABULARY[3]} xylophone") == [*ids_of(VOCABULARY[3]), UNKNOWN]
    assert encode("") == []


def test_words_keep_their_ids_whatever_order_the_vocabulary_comes_in():
    shuffled = build_tokenizer(TERSE, [*reversed(VOCABULARY), VOCABULARY[0]])
    assert shuffled.get_vocab() == TOKENIZER.get_vocab()
    assert sorted(TOKENIZER.get_vocab().values()) == list(range(len(TOKENIZER)))


def test_another_protocol_brings_its_own_tags():
    protocol = replace(PROTOCOLS["R-Search"], notices={})
    assert "</observation>" in build_tokenizer(protocol, ()).get_vocab()


# -- the model -----------------------------------------------------------------------------------------


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_equal_seeds_give_equal_weights_and_others_do_not():
    one, same, other = (build_model(50, **SIZES, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


def test_building_leaves_the_global_generator_alone_and_ignores_it():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = build_model(50, **SIZES)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(one), weights(build_model(50, **SIZES)))


@pytest.mark.parametrize("backwards", [False, True])
def test_untrained_it_copies_what_follows_two_words_and_what_stands_before_them(backwards: bool):
    model = build_model(120, **preset("tiny").model.sizes())
    generator = torch.Generator().manual_seed(0)
    ranks = []
    for _ in range(40):
        context = torch.randperm(118, generator=generator)[:40].tolist()
        subject, relation, target = context[10:13]
        asked = (target, 118, relation, 119) if backwards else (subject, relation)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*context, *asked]])).logits[0, -1]
        ranks.append(int((logits > logits[subject if backwards else target]).sum()))
    # By chance the median rank is 60.
    assert torch.tensor(ranks).median() <= 5


def test_the_tiny_preset_has_about_a_million_parameters():
    model = build_model(len(TOKENIZER), **preset("tiny").model.sizes())
    assert 0.5e6 < weights(model).numel() < 1.5e6


def test_input_and_output_embeddings_are_one_tensor():
    model = tiny_model()
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


# -- on disk -------------------------------------------------------------------------------------------


def test_save_and_load_give_the_same_model_and_tokenizer(tmp_path: Path):
    model = tiny_model(3)
    save(model, TOKENIZER, tmp_path / "model")
    loaded, tokenizer = load(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert torch.equal(weights(loaded), weights(model))
    assert not loaded.training and weights(loaded).dtype == torch.float32
    assert tokenizer.get_vocab() == TOKENIZER.get_vocab()
    text = f"solve xylophone <search> {VOCABULARY[5]} </search>"
    assert tokenizer.backend_tokenizer.encode(text).ids == encode(text)
    ids = torch.tensor([encode(text)])
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path, made: bool):
    folder = tmp_path / "nothing-here"
    if made:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"nothing-here.*config\.json"):
        load(folder)


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "no tokenizer", "no json"])
def test_a_damaged_checkpoint_is_an_error_with_a_message(tmp_path: Path, damage: str):
    save(tiny_model(), TOKENIZER, tmp_path)
    if damage == "no weights":
        (tmp_path / "model.safetensors").unlink()
    elif damage == "cut weights":
        content = (tmp_path / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif damage == "no tokenizer":
        (tmp_path / "tokenizer.json").unlink()
    else:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"})[:-1])
    with pytest.raises((OSError, ValueError), match=str(tmp_path.name)):
        load(tmp_path)
