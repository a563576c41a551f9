"""GRPOTrainer trains for real with the search tool: calls that the model writes are executed."""

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests.game.doubles import Shelf
from tests.markdown import ROOT, blocks, expected_output

pytest.importorskip("trl", reason="needs trl: pip install 'ssp-env[trl]'")

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer

from ssp_env.integrations.trl import async_search_function, search_environment, search_function
from ssp_env.search.tool import SearchTool
from tests.integrations import tool_caller
from tests.integrations.tool_caller import answer, call, shown

# TRL and transformers warn of what they will change in each other.
pytestmark = pytest.mark.filterwarnings("ignore")

QUESTION = {"role": "user", "content": "Who is the mayor of Corun?"}
BUDGET = "[search error: budget] The search budget is used up. Finish without searching."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a model that searches: half the time well, half the time twice."""
    search = search_function(SearchTool(Shelf()))
    once = [QUESTION, call("corun"), shown(search("corun")), answer("Sarn")]
    twice = [QUESTION, call("belin"), shown(search("belin")), call("corun"), shown(BUDGET), answer("unknown")]
    folder = tmp_path_factory.mktemp("caller")
    tool_caller.build(folder, [once, twice], get_json_schema(search))
    return folder


def train(model, folder, reward, **tools):
    trainer = GRPOTrainer(
        str(model),
        reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": [[QUESTION]] * 8, "answer": ["Sarn"] * 8}),
        args=GRPOConfig(
            str(folder), max_steps=2, num_generations=8, per_device_train_batch_size=8,
            max_completion_length=300, logging_steps=1, report_to="none", save_strategy="no",
            use_cpu=True, bf16=False, learning_rate=1e-3, seed=0, disable_tqdm=True,
        ),
        **tools,
    )  # fmt: skip
    trainer.train()
    return trainer


def names_the_answer(completions, answer):
    return [float(gold in said[-1]["content"]) for said, gold in zip(completions, answer, strict=True)]


def queries(completion):
    calls = [call["function"] for message in completion for call in message.get("tool_calls") or ()]
    return [call["arguments"]["query"] for call in calls if call["name"] == "search"]


def pages(completion):
    return [message["content"] for message in completion if message["role"] == "tool"]


@pytest.mark.parametrize("make", [search_function, async_search_function])
def test_grpo_executes_the_calls_of_a_search_function(model, tmp_path, make):
    shelf, seen = Shelf(), []

    def reward(completions, answer, **columns):
        seen.extend(completions)
        return names_the_answer(completions, answer)

    tool = SearchTool(shelf, cache=0)
    trainer = train(model, tmp_path, reward, tools=[make(tool)])
    asked = [query for completion in seen for query in queries(completion)]
    assert len(seen) == 16
    assert "corun" in asked and "belin" in asked
    assert sorted(query for batch in shelf.batches for query in batch) == sorted(asked)
    assert [text for completion in seen for text in pages(completion)] == [tool(query) for query in asked]
    logs = [entry for entry in trainer.state.log_history if "tools/call_frequency" in entry]
    assert [entry["tools/failure_frequency"] for entry in logs] == [0, 0]
    assert sum(entry["tools/call_frequency"] for entry in logs) * 8 == len(asked)


def test_grpo_gives_every_rollout_a_budget_of_its_own(model, tmp_path):
    tool, seen = SearchTool(Shelf(), max_searches=1), []

    def reward(completions, answer, environments, **columns):
        seen.extend(zip(completions, [list(each.results) for each in environments], strict=True))
        return names_the_answer(completions, answer)

    trainer = train(model, tmp_path, reward, environment_factory=search_environment(tool))
    assert len(seen) == 16
    for completion, results in seen:
        assert [result.query for result in results][:1] == queries(completion)[:1]
        assert [result.text for result in results] == pages(completion)
        assert [result.error is None for result in results] == [place == 0 for place in range(len(results))]
    assert max(len(results) for _, results in seen) > 1
    assert BUDGET in {text for completion, _ in seen for text in pages(completion)}
    assert trainer.state.global_step == 2
    before = AutoModelForCausalLM.from_pretrained(model).state_dict()
    after = trainer.model.state_dict()
    assert any(not torch.equal(before[name], after[name].cpu()) for name in before)


def test_the_example_in_the_docs_runs(model, tmp_path, monkeypatch):
    (example,) = [block for block in blocks(ROOT / "docs" / "search.md", "python") if "GRPOTrainer(" in block]
    here, count = re.subn(r'"Qwen/[\w.-]+"', repr(str(model)), example)
    assert count == 1
    monkeypatch.chdir(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(here, "example", "exec"), {"__name__": "example"})
    assert printed.getvalue().splitlines()[-1:] == expected_output(example) != []
