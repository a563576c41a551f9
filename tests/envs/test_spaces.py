"""`UnicodeText`: which strings it holds, how it samples, prints, compares, flattens and pickles."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Dict, Discrete, Text, Tuple, flatdim, flatten, flatten_space, unflatten
from gymnasium.vector.utils import (
    batch_differing_spaces,
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
)
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.envs.spaces import UnicodeText


@given(st.text(st.characters(), max_size=40))
def test_holds_every_text_within_its_bounds(text):
    assert (text in UnicodeText(20)) == (len(text) <= 20)
    assert (text in UnicodeText(40, min_length=3)) == (len(text) >= 3)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\x1b[2J", "नमस्ते", "a\r\nb", np.str_("numpy")])
def test_no_character_is_out_of_bounds(text):
    assert text in UnicodeText(10)


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"], np.array("a")])
def test_only_strings_are_texts(value):
    assert value not in UnicodeText(10)


def test_lengths_count_characters_not_bytes():
    assert "🙂🙂" in UnicodeText(2)
    assert "🙂🙂🙂" not in UnicodeText(2)


def test_samples_are_members_reproducible_and_storable():
    space = UnicodeText(20, min_length=2, seed=3)
    samples = [space.sample() for _ in range(200)]
    assert all(sample in space for sample in samples)
    assert {len(sample) for sample in samples} == set(range(2, 21))
    "".join(samples).encode("utf-8")
    again = UnicodeText(20, min_length=2, seed=3)
    assert [again.sample() for _ in range(200)] == samples
    assert any(not sample.isascii() for sample in samples)


def test_sampling_masks_of_the_parent_still_work():
    space = UnicodeText(9, charset="ab", seed=0)
    assert space.sample(mask=(4, np.array([0, 1], dtype=np.int8))) == "bbbb"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"max_length": 3, "charset": "a\udfff"}, "lone surrogates"),
        ({"max_length": 3, "charset": ""}, "at least one character"),
        ({"max_length": 3, "min_length": 4}, "0 <= min_length <= max_length, got 4 and 3"),
    ],
)
def test_bad_arguments_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        UnicodeText(**arguments)


def test_repr_stays_short_and_equality_is_by_bounds():
    assert repr(UnicodeText(4096, min_length=1)) == "UnicodeText(1, 4096)"
    assert UnicodeText(5) == UnicodeText(5, charset="ab")
    assert UnicodeText(5) != UnicodeText(6)
    assert UnicodeText(5) != UnicodeText(5, min_length=1)
    assert UnicodeText(5) != Text(5, min_length=0)


@given(st.text(st.characters(), max_size=12))
def test_flattening_round_trips_any_text(text):
    space = UnicodeText(12)
    flat = flatten(space, text)
    assert flat.shape == (flatdim(space),)
    assert flat.dtype == np.int32
    assert flat in flatten_space(space)
    assert flat[: len(text)].tolist() == [ord(char) for char in text]
    assert unflatten(space, flat) == text


def test_flattens_inside_a_dict():
    space = Dict({"prompt": UnicodeText(6), "turns": Discrete(3)})
    value = {"prompt": "né\n", "turns": np.int64(2)}
    assert unflatten(space, flatten(space, value)) == value
    assert flatten(space, value) in flatten_space(space)


def test_pickles_with_its_bounds_and_generator():
    space = UnicodeText(30, min_length=1, seed=5)
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert copy.sample() == space.sample()


def test_is_a_text_to_other_libraries():
    assert isinstance(UnicodeText(5), Text)
    assert batch_space(UnicodeText(5), 2) == gymnasium.spaces.Tuple([UnicodeText(5), UnicodeText(5)])


def test_vector_environments_compare_spaces_by_bounds():
    equivalent = gymnasium.spaces.utils.is_space_dtype_shape_equiv
    assert equivalent(UnicodeText(5), UnicodeText(5, charset="ab"))
    assert not equivalent(UnicodeText(5), UnicodeText(6))


def test_shared_memory_which_shows_garbage_for_text_is_refused():
    for space in (UnicodeText(5), Dict({"prompt": UnicodeText(5), "turns": Discrete(3)})):
        with pytest.raises(CustomSpaceError, match="shared_memory=False"):
            create_shared_memory(space, n=2)


def test_texts_of_differing_bounds_batch_to_a_tuple():
    spaces = [UnicodeText(5), UnicodeText(9, min_length=1)]
    assert batch_differing_spaces(spaces) == Tuple(spaces)
    dicts = [Dict({"prompt": space, "turns": Discrete(3)}) for space in spaces]
    assert batch_differing_spaces(dicts)["prompt"] == Tuple(spaces)


def test_batches_of_texts_are_iterated_text_by_text():
    space = Dict({"prompt": UnicodeText(5), "turns": Discrete(3)})
    single = [{"prompt": "ab", "turns": np.int64(1)}, {"prompt": "", "turns": np.int64(2)}]
    batch = concatenate(space, single, create_empty_array(space, 2))
    assert list(iterate(batch_space(space, 2), batch)) == single
    assert list(iterate(batch_space(UnicodeText(5), 2), ("ab", "cd"))) == ["ab", "cd"]


def test_the_space_of_one_text_iterates_a_batch_too_as_supersuit_does():
    space = Dict({"prompt": UnicodeText(5), "more": UnicodeText(3)})
    assert list(iterate(space, {"prompt": ("a", "b"), "more": ["c", ""]})) == [
        {"prompt": "a", "more": "c"},
        {"prompt": "b", "more": ""},
    ]
    with pytest.raises(TypeError, match="sequence of strings, got the one text 'ab'"):
        iterate(UnicodeText(5), "ab")
