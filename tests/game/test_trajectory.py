"""What trainers take from a game: tokens of every seat, who sampled them, and what they were paid."""

import pytest

from ssp_env.game import Failure, Game, Reply, Task, TokensMissing, trajectories
from ssp_env.game.trajectory import Segment, Trajectory, seat_trajectories
from tests.game.doubles import QUESTION, answer, new_game, propose, question, read, say, search

KNOWN = Task("Tavor", question="Who?", id="q7")


def told(text: str, context: tuple[int, ...], ids: tuple[int, ...], version: str = "v1") -> Reply:
    return Reply(text, ids, tuple(-float(i) for i in ids), context, weights_version=version)


def searched_game() -> Game:
    game = Game(KNOWN, game_id="g")
    game.submit("solver_0/turn/0", told(search("belin"), (1, 2), (5, 6)))
    game.submit("solver_0/search/0", [])
    game.submit("solver_0/turn/1", told(answer("Tavor"), (7, 8, 9), (4,), "v2"))
    return game


def test_tokens_are_read_and_sampled_in_the_order_of_the_conversation():
    (found,) = trajectories(searched_game())
    assert found.prompt_ids == (1, 2)
    assert found.response_ids == (5, 6, 7, 8, 9, 4)
    assert found.response_mask == (1, 1, 0, 0, 0, 1)
    assert found.response_logprobs == (-5.0, -6.0, 0.0, 0.0, 0.0, -4.0)
    assert found.weights_versions == ("v1", "v2")
    assert (found.role, found.seat, found.reward, found.truncated) == ("solver", "solver_0", 1.0, False)
    assert (found.length, found.sampled_count) == (8, 3)


def test_log_probabilities_are_known_for_all_sampled_tokens_or_for_none():
    segments = (Segment((1,), False), Segment((2,), True, (-1.0,)), Segment((3,), False), Segment((4,), True))
    assert Trajectory("g", "solver_0", segments).response_logprobs == ()


def test_several_messages_before_the_first_turn_are_one_prompt():
    segments = (Segment((1,), False), Segment((2, 3), False), Segment((4,), True))
    found = Trajectory("g", "solver_0", segments)
    assert (found.prompt_ids, found.response_ids) == ((1, 2, 3), (4,))


def test_every_seat_has_its_own_reward_and_the_group_it_is_compared_in():
    game = new_game(Task("Tavor", hops=2, id="task-0"), attempts=2, noise_passages=0)
    lines = (search("belin"), search("corun"), question(QUESTION))
    propose(game, *(told(text, (1,), (2,)) for text in lines))
    read(game)
    say(game, "solver_0", told(answer("Tavor"), (1,), (2,)))
    say(game, "solver_1", told(answer("Sarn"), (1,), (2,)))
    found = {each.seat: each for each in trajectories(game)}
    assert {seat: each.reward for seat, each in found.items()} == {
        "proposer_0": 0.5,
        "solver_0": 1.0,
        "solver_1": 0.0,
    }
    assert found["proposer_0"].group == "answer task-0"
    assert found["solver_0"].group == found["solver_1"].group == game.id
    assert found["proposer_0"].hops == 2


def test_attempts_at_a_known_question_are_one_group_in_however_many_games():
    groups = set()
    for number in range(2):
        game = Game(KNOWN, game_id=f"q7/{number}")
        game.submit("solver_0/turn/0", told(answer("Tavor"), (1,), (2,)))
        groups |= {each.group for each in trajectories(game)}
    assert groups == {"question q7"}


def test_an_invalid_question_gives_the_proposer_alone():
    game = new_game()
    propose(game, told(question("Who?"), (1,), (2,)))
    assert [each.seat for each in trajectories(game)] == ["proposer_0"]


def test_a_game_that_failed_gives_nothing_to_learn_from():
    game = Game(KNOWN)
    game.submit("solver_0/turn/0", told(search("belin"), (1, 2), (5, 6)))
    game.submit("solver_0/search/0", Failure("down"))
    assert trajectories(game) == []
    assert len(seat_trajectories(game)) == 1


def test_a_game_that_is_not_over_is_refused():
    with pytest.raises(ValueError, match="'q7' is not over"):
        trajectories(Game(KNOWN))


@pytest.mark.parametrize(
    ("lacking", "last"),
    [("token_ids", Reply(answer("Tavor"))), ("context_ids", Reply(answer("Tavor"), (4,), (-1.0,)))],
)
def test_a_turn_without_tokens_is_named(lacking: str, last: Reply):
    game = Game(KNOWN)
    game.submit("solver_0/turn/0", told(search("belin"), (1, 2), (5, 6)))
    game.submit("solver_0/search/0", [])
    game.submit("solver_0/turn/1", last)
    with pytest.raises(TokensMissing, match=f"turn 1 of solver_0 in game 'q7'.*got no {lacking}"):
        trajectories(game)
    assert not seat_trajectories(game)[0].complete
