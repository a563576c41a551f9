"""A player that stands in for a language model, and the passages and the question of its games."""

from ssp_env.game import Reply

PAGES = [
    {"id": "0", "title": "Odense", "text": "Odense is a city on the island of Funen. " * 5},
    {"id": "1", "title": "Odense (ship)", "text": "Odense was a ship of the Danish navy. " * 5},
    {"id": "2", "title": "Funen", "text": "A stub."},
    {"id": "3", "title": "List of all islands of Denmark", "text": "Funen is an island of Denmark. " * 9},
    {"id": "4", "title": "Marta Velling", "text": "Marta Velling was an engineer from Odense. " * 5},
]
QUESTION = "Which city on the island of Funen is where the engineer Velling was born?"


class Author:
    """Stands in for SmolLM2: plays every game over `PAGES` as told."""

    def __init__(self, answer="Odense"):
        self.answer = answer

    def act_batch(self, views):
        return [Reply(self.say(view), (7, 8, 9)) for view in views]

    def say(self, view):
        asked = sum(message.role == "assistant" for message in view.messages)
        if view.phase == "propose":
            queries = ("Odense", "[bold]island[/bold] \x1b[2J of Funen")
            return (
                f"<search> {queries[asked]} </search>" if asked < 2 else f"<question> {QUESTION} </question>"
            )
        if view.phase == "solve" and not asked:
            return "no tag at all" if self.answer == "Funen" else "<search> engineer </search>"
        return f"<answer> {self.answer} </answer>"
