"""An agent of one's own plays the solver: `python examples/own_agent.py`.

It searches for the entity that the question names, and says what the passage says of it. For a question of
two relations it does so twice. In this folder `ssp eval weak own_agent:Follower` compares it with others.
"""

from agents import ScriptedPlayer
from ssp_env import open_scenario
from ssp_env.play import play
from ssp_env.worlds import parse_facts, parse_question


class Follower:
    """Follows the relations of a question from the entity that it begins with."""

    def act(self, view):
        """Search until the last relation is followed, then answer."""
        relations, entity = parse_question(view.messages[0].content.removeprefix("solve "))
        found = [message.content for message in view.messages if message.role == "tool"]
        texts = (text.removeprefix("<information>").removesuffix("</information>") for text in found)
        known = {(fact.subject, fact.relation): fact.target for fact in parse_facts(" ; ".join(texts))}
        while relations and (entity, relations[-1]) in known:
            entity, relations = known[entity, relations[-1]], relations[:-1]
        if relations and view.may_search:
            return f"<search> {entity} </search>"
        return f"<answer> {entity} </answer>"


if __name__ == "__main__":
    scenario = open_scenario("tiny")
    proposer = ScriptedPlayer(proposer="strong", reader="perfect", seed=0)
    for name, solver in {"weak": ScriptedPlayer(solver="weak", seed=0), "mine": Follower()}.items():
        games = scenario.games()
        outcomes = play(games, proposer=proposer, solver=solver, reader=proposer, search=scenario.search)
        valid = [outcome.success_rate for outcome in outcomes if outcome.verdict == "valid"]
        print(f"{name}: {sum(valid) / len(valid):.2f} of {len(valid)} valid questions")
