"""Two judges: what counts when they differ, and how far they agree."""

import asyncio
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.judges import JudgeQuestions, LLMJudge
from agents.judges_agreement import AgreeingJudges, Agreement, AsyncAgreeingJudges
from ssp_env.scoring import exact_match
from ssp_env.testing import check_judge
from tests.agents.judging import BatchReader, ask

VERDICTS = (True, False, None)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(("first", "second"), list(product(VERDICTS, VERDICTS)))
def test_a_verdict_counts_if_both_give_it_or_if_the_first_does(first, second, asynchronous):
    async def later(verdict):
        return verdict

    for rule, expected in (("unknown", first if first is second else None), ("first", first)):
        if asynchronous:
            judges = AsyncAgreeingJudges(lambda _: later(first), lambda _: later(second), rule)
            assert asyncio.run(judges(ask("Sarn"))) is expected
        else:
            judges = AgreeingJudges(lambda _: first, lambda _: second, rule)
            assert judges(ask("Sarn")) is expected
        assert judges.agreement.pairs == {(first, second): 1}


def test_judges_that_take_batches_get_batches():
    agent = BatchReader()
    judges = AgreeingJudges(LLMJudge(agent, JudgeQuestions("j")), lambda asked: asked.candidate == "Tavor")
    assert judges.judge_batch([ask("Tavor"), ask("Sarn"), ask("the Tavor")]) == [True, False, None]
    assert agent.sizes == [3]


def test_two_judges_keep_the_contract_of_one():
    def same(asked):
        return exact_match(asked.candidate, asked.golds)

    check_judge(AgreeingJudges(same, LLMJudge(BatchReader(), JudgeQuestions("j"))))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="on_disagreement must be unknown or first, got 'both'"):
        AgreeingJudges(lambda _: True, lambda _: True, "both")


def agreement_of(pairs):
    agreement = Agreement()
    for pair in pairs:
        agreement.add(*pair)
    return agreement


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    kappa = agreement_of(pairs).kappa
    if len({verdict for pair in pairs for verdict in pair}) == 1:
        assert kappa is None
    else:
        first, second = zip(*pairs, strict=True)
        assert kappa == pytest.approx(metrics.cohen_kappa_score(first, second, labels=[False, True]))


def test_kappa_by_hand():
    # 20 and 15 of 50 agree; the rates are 25/50 and 30/50, so chance agrees in half: (0.7 - 0.5) / 0.5.
    pairs = [(True, True)] * 20 + [(False, False)] * 15 + [(True, False)] * 5 + [(False, True)] * 10
    agreement = agreement_of(pairs)
    assert (agreement.decided, agreement.observed) == (50, 0.7)
    assert agreement.kappa == pytest.approx(0.4)


def test_unknown_verdicts_are_no_agreement():
    agreement = agreement_of([(None, None), (True, None), (None, False)])
    assert (agreement.decided, agreement.observed, agreement.kappa) == (0, None, None)
