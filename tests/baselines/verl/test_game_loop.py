"""verl plays our games: tokens, masks, rewards and groups are those of the same games without verl."""

import pytest

pytest.importorskip("transfer_queue", reason="needs verl 0.9 and what it imports: make parity")

from baselines.verl.dataset import AnswerDataset
from ssp_env.game.trajectory import trajectories
from tests.baselines.verl.rollouts import (
    ScriptedPlayer,
    ScriptedServer,
    configuration,
    played_without_verl,
    run,
    tokenizer,
)

pytestmark = pytest.mark.filterwarnings("default")
TOKENIZER = tokenizer()


def rows(config, uid="u1", session=0):
    data = AnswerDataset("answers", TOKENIZER, config.data)
    return [{**data[index], "uid": f"{uid}{index}", "session_id": session} for index in range(len(data))]


def as_tuple(found):
    return (
        found.seat,
        found.role,
        found.group,
        found.reward,
        found.prompt_ids,
        found.response_ids,
        found.response_mask,
        found.response_logprobs,
    )


def output_tuple(output):
    extra = output.extra_fields
    return (
        extra["seat"],
        extra["role"],
        extra["group"],
        output.reward_score,
        tuple(output.prompt_ids),
        tuple(output.response_ids),
        tuple(output.response_mask),
        tuple(output.response_logprobs),
    )


def test_a_whole_game_gives_every_seat_its_tokens_its_reward_and_its_group():
    config = configuration()
    row = rows(config)[0]
    answer = row["extra_info"]["task"]["answer"]
    server = ScriptedServer(TOKENIZER, answer)
    outputs = run(config, server, TOKENIZER, row)
    ours = played_without_verl(config, row, ScriptedPlayer(TOKENIZER, answer))
    assert ours.outcome.reason == "solved"
    assert [output_tuple(each) for each in outputs] == [as_tuple(each) for each in trajectories(ours)]
    assert [output.reward_score for output in outputs] == [pytest.approx(1 / 3), 1.0, 0.0, 1.0]
    assert {output.extra_fields["role"] for output in outputs[1:]} == {"solver"}
    assert len({output.extra_fields["group"] for output in outputs}) == 2
    assert {output.extra_fields["max_global_steps"] for output in outputs} == {7}
    for output in outputs:
        assert output.response_mask[-1] == 1
        assert 0 < sum(output.response_mask) < len(output.response_mask)
    readers = [call for call in server.calls if "/verify" in call[0]]
    assert len(readers) == 1


def test_a_server_is_asked_to_stop_at_tags_and_to_go_on_where_that_was_inside_a_thought():
    config = configuration()
    row = rows(config)[0]
    server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
    outputs = run(config, server, TOKENIZER, row, temperature=0.6)
    proposer = [call for call in server.calls if "proposer_0" in call[0]]
    assert len(proposer) == 4  # two turns, each stopped once inside the thought
    asked = proposer[0][2]
    assert asked["stop"] == ["</search>", "</question>"] and asked["include_stop_str_in_output"]
    assert (asked["temperature"], asked["max_tokens"]) == (0.6, 300)
    said = TOKENIZER.decode(
        [id_ for id_, own in zip(outputs[0].response_ids, outputs[0].response_mask) if own]
    )
    assert said.count("<think>") == 2 and "and then" not in said


def test_siblings_of_a_row_are_other_games_with_proposals_in_one_group():
    config = configuration()
    found = []
    for session in range(2):
        row = rows(config, session=session)[0]
        server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
        found.append(run(config, server, TOKENIZER, row))
    proposals = [outputs[0].extra_fields for outputs in found]
    assert proposals[0]["group"] == proposals[1]["group"]
    assert proposals[0]["game_id"] != proposals[1]["game_id"]
    assert found[0][1].extra_fields["group"] != found[1][1].extra_fields["group"]


def test_known_questions_are_played_by_the_solver_alone():
    scenario = {"world": "tiny", "hops": [1], "prompts": "english", "rules": {"attempts": 2}}
    config = configuration(scenario)
    data = AnswerDataset(["questions"], TOKENIZER, config.data)
    assert all(task.question for task in data.tasks)
    row = {**data[0], "uid": "v", "session_id": 0}
    server = ScriptedServer(TOKENIZER, data.tasks[0].answer)
    outputs = run(config, server, TOKENIZER, row)
    assert [output.extra_fields["seat"] for output in outputs] == ["solver_0", "solver_1"]
    assert [output.reward_score for output in outputs] == [1.0, 0.0]


def test_a_conversation_that_fills_the_response_ends_with_what_it_sampled():
    config = configuration(rollout={"response_length": 120})
    row = rows(config)[0]
    server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
    outputs = run(config, server, TOKENIZER, row)
    assert [output.extra_fields["seat"] for output in outputs] == ["proposer_0"]
    (output,) = outputs
    assert output.reward_score == 0.0 and output.response_mask[-1] == 1 and len(output.response_ids) <= 120


def test_a_prompt_that_does_not_fit_is_refused():
    config = configuration(rollout={"prompt_length": 50})
    row = rows(config)[0]
    with pytest.raises(
        ValueError, match=r"prompt of proposer_0 has \d+ tokens.*room for 50: raise data.max_prompt_length"
    ):
        run(config, ScriptedServer(TOKENIZER, "x"), TOKENIZER, row)


def test_a_server_that_fails_fails_the_row_and_a_search_that_fails_gives_nothing():
    config = configuration()
    row = rows(config)[0]

    class Down:
        async def generate(self, *_, **__):
            raise ConnectionError("no server")

    with pytest.raises(ConnectionError, match="no server"):
        run(config, Down(), TOKENIZER, row)
    lost = {"search": "tests.baselines.verl.test_game_loop:broken", "rules": {"attempts": 1}}
    server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
    assert run(configuration(lost), server, TOKENIZER, row) == []


def broken(query):
    raise TimeoutError("no search")


# -- what is refused before the first game -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"ssp": None}}, "the configuration has no data.ssp"),
        ({"data": {"ssp": {"scenarios": {}}}}, "unknown key of data.ssp 'scenarios'"),
        (
            {"data": {"ssp": {"scenario": {"answers": ["Odense"]}}}},
            r"what is searched.*got answers",
        ),
        ({"data": {"ssp": {"scenario": {"corpsu": "a"}}}}, r"expected data\.ssp\.scenario to name"),
    ],
)
def test_a_configuration_that_names_no_corpus_is_refused(change, message):
    config = configuration()
    config.data = change["data"]
    with pytest.raises(ValueError, match=message):
        run(config, None, TOKENIZER, {})
    with pytest.raises(ValueError, match=message):
        AnswerDataset("answers", TOKENIZER, config.data)


def test_the_worker_that_would_pay_all_seats_alike_is_refused():
    config = configuration(rollout={"agent": {}})
    with pytest.raises(ValueError, match=r"agent_loop_manager_class=baselines\.verl\.worker\.Game"):
        run(config, None, TOKENIZER, {})


def test_a_row_of_another_data_set_is_refused():
    config = configuration()
    row = {"uid": "u", "session_id": 0, "extra_info": {"index": 0}}
    with pytest.raises(ValueError, match=r"name=AnswerDataset, got a row with uid, session_id"):
        run(config, ScriptedServer(TOKENIZER, "x"), TOKENIZER, row)
