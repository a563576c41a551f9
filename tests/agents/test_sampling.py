import numpy as np
import pytest
import torch

from agents.sampling import choose

GRID = ((np.arange(1000) + 0.5) / 1000).tolist()


def spread(odds, temperature=1.0, top_p=1.0):
    """How often each token is picked, for numbers spread evenly."""
    logits = torch.tensor(odds).log().repeat(1000, 1)
    chosen, _ = choose(logits, [temperature] * 1000, [top_p] * 1000, GRID)
    return np.bincount(chosen, minlength=len(odds)).tolist()


def test_top_p_keeps_the_smallest_set_of_tokens_with_that_mass():
    odds = [0.2, 0.5, 0.3]
    assert spread(odds, top_p=0.7) == [0, 625, 375]
    assert spread(odds) == [200, 500, 300]
    assert spread(odds, top_p=0.01) == [0, 1000, 0]


def test_temperature_sharpens_and_flattens():
    # Squared odds: 16 to 1.
    assert spread([0.2, 0.8], temperature=0.5)[0] == pytest.approx(1000 / 17, abs=1)


@pytest.mark.parametrize("top_p", [1.0, 0.99])
def test_the_largest_number_still_picks_a_token(top_p):
    chosen, _ = choose(torch.zeros(1, 7), [1.0], [top_p], [1.0 - 2**-53])
    assert 0 <= chosen[0] < 7


def test_every_row_goes_by_its_own_temperature_and_nucleus():
    logits = torch.tensor([0.1, 0.6, 0.3]).log().repeat(4, 1)
    # Ranked, the numbers fall on the second token; by number, on the third.
    chosen, logprobs = choose(logits, [0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.8, 1.0], [0.95] * 4)
    assert chosen == [1, 2, 2, 2]
    flat = np.sqrt([0.1, 0.6, 0.3])
    # Before the cut, at the row's temperature, which for the likeliest token is 1.
    assert np.exp(logprobs) == pytest.approx([0.6, 0.3, 0.3, flat[2] / flat.sum()], abs=1e-6)


def test_a_row_picks_the_same_in_any_company():
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    temperatures, top_ps = [0.0, 0.7, 1.0, 1.3] * 5, [1.0, 0.9, 0.5, 1.0, 0.95] * 4
    numbers = np.random.default_rng(0).random(20).tolist()
    together = choose(logits, temperatures, top_ps, numbers)
    for row in range(20):
        alone = choose(logits[row : row + 1], [temperatures[row]], [top_ps[row]], [numbers[row]])
        assert (together[0][row], together[1][row]) == (alone[0][0], pytest.approx(alone[1][0]))
