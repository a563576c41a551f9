"""The ground truth of verl and Search-R1: an object with a list; what is no answer is refused."""

import pytest

from ssp_env.game import Task


def test_the_list_is_an_answer_and_its_aliases():
    assert Task.from_target({"target": ["Corun", "City of the Aller"]}).golds == (
        "Corun",
        "City of the Aller",
    )


@pytest.mark.parametrize("target", [[["Corun"]], [None], b"Corun"])
def test_what_is_no_text_is_a_type_error(target):
    with pytest.raises(TypeError):
        Task.from_target(target)
