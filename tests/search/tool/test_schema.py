"""The schema is the game's, in the shape of every endpoint; what fits it is what the tool reads."""

import jsonschema
import pytest

from ssp_env.game import PROTOCOLS
from ssp_env.search.tool import SearchTool
from ssp_env.search.tool.schema import ToolSchema

PLAIN = ToolSchema()
CHOOSY = ToolSchema("lookup", "Look it up.", max_top_k=5)


@pytest.mark.parametrize("strict", [True, False])
def test_the_plain_tool_is_the_tool_of_the_game(strict):
    assert [PLAIN.to_openai(strict=strict)] == PROTOCOLS["openai"].tools(strict=strict)


def test_every_shape_says_the_same():
    function = CHOOSY.to_openai()["function"]
    name, description, parameters = function["name"], function["description"], function["parameters"]
    assert (name, description, list(parameters["properties"])) == (
        "lookup",
        "Look it up.",
        ["query", "top_k"],
    )
    assert CHOOSY.to_openai_responses() == {"type": "function", **function, "strict": False}
    assert CHOOSY.to_mcp() == {"name": name, "description": description, "inputSchema": parameters}
    assert CHOOSY.to_anthropic() == {"name": name, "description": description, "input_schema": parameters}
    assert CHOOSY.to_chat_template() == [CHOOSY.to_openai()]


@pytest.mark.parametrize(
    "function", [CHOOSY.to_openai(strict=True)["function"], CHOOSY.to_openai_responses(strict=True)]
)
def test_a_strict_schema_requires_every_argument_and_allows_no_other(function):
    parameters = function["parameters"]
    assert function["strict"] is True
    assert parameters["required"] == list(parameters["properties"]) == ["query"]
    assert parameters["additionalProperties"] is False


@pytest.mark.parametrize("arguments", [{"query": "whale"}, {"query": "whale", "top_k": 5}])
def test_arguments_that_fit_the_schema_are_read(arguments):
    jsonschema.validate(arguments, CHOOSY.to_mcp()["inputSchema"])
    tool = SearchTool(lambda query: [query], name="lookup", max_top_k=5)
    (call,) = tool.parse({"name": "lookup", "arguments": arguments})
    assert (call.query, call.top_k, call.error) == ("whale", arguments.get("top_k"), None)


@pytest.mark.parametrize(
    "arguments", [{}, {"query": 5}, {"query": "whale", "top_k": 0}, {"query": "whale", "top_k": "5"}]
)
def test_arguments_that_do_not_fit_are_errors(arguments):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(arguments, CHOOSY.to_mcp()["inputSchema"])
    tool = SearchTool(lambda query: [query], name="lookup", max_top_k=5)
    (result,) = tool.respond({"name": "lookup", "arguments": arguments})
    assert result.error.kind in ("bad_call", "bad_top_k")
