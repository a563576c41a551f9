"""The search tool in an environment of one's own: `python examples/search_tool.py`.

A quiz about five pages, as a Gymnasium environment: an action is `search WORDS` or `answer WORDS`. An episode
has two searches; what the tool says when they are used up is shown like any result.
"""

import gymnasium
from gymnasium.spaces import Text

from ssp_env.scoring import exact_match
from ssp_env.search import BM25Engine, Passage, SearchCall, SearchTool

PAGES = {
    "Corun": "Corun is a town on the Aller. Its mayor is Belin Tavor.",
    "Belin Tavor": "Belin Tavor studied law in Girab and collects clocks.",
    "Girab": "Girab lies in the hills; its university was founded in 1411.",
    "Aller": "The Aller is a river that freezes every winter.",
    "Clock": "A clock is an instrument that tells the time.",
}
QUESTIONS = {
    "Where did the mayor of Corun study?": "Girab",
    "When was the university of Girab founded?": "1411",
}


class Quiz(gymnasium.Env):
    """Asks a question; pays 1 for the right answer."""

    observation_space, action_space = Text(2000), Text(200)

    def __init__(self):
        pages = [Passage(title, title, text) for title, text in PAGES.items()]
        self.tool = SearchTool(BM25Engine(pages), top_k=1, layout="plain", max_searches=2)

    def reset(self, *, seed=None, options=None):
        """Ask a question."""
        super().reset(seed=seed)
        self.search = self.tool.episode()  # a budget of its own
        self.question = sorted(QUESTIONS)[int(self.np_random.integers(len(QUESTIONS)))]
        return self.question, {}

    def step(self, action):
        """Search, or answer and end the episode."""
        verb, _, words = action.partition(" ")
        if verb == "answer":
            return "", float(exact_match(words, [QUESTIONS[self.question]])), True, False, {}
        return self.search.run([SearchCall(words)])[0].text, 0.0, False, False, {}


if __name__ == "__main__":
    env = Quiz()
    print(env.reset(seed=0)[0])
    for action in ("search mayor of Corun", "search Belin Tavor", "search clocks", "answer Girab"):
        observation, reward, terminated, _, _ = env.step(action)
        print(f"> {action}\n{observation}" if not terminated else f"> {action}\nreward {reward}")
