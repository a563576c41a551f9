"""Plain-text demonstrations for small models, which copy a pattern more reliably than they follow rules.

Three made-up questions are played from every seat: one proposes, one solves, one reads. They stand in one
user message or, with native tool calls, as a conversation. Nothing but the demonstrations is said, and every
action starts its line: a small model does not follow instructions, and forgets the tag behind other words.
Searches show three passages each, as in play: with fewer, the model takes the first real result for the last
one and asks too early.
"""

from __future__ import annotations

from functools import partial

from ssp_env.game.prompts.demonstrations import Demonstration, FewShot, Listing
from ssp_env.passage import Passage

_page = partial(Passage, "")

_VARNBY = (
    _page(
        "Varnby",
        "Varnby is a town in Denmark on the Asker Fjord, "
        "known as the birthplace of the engineer Marta Velling.",
    ),
    _page(
        "Varnby Harbour",
        "Varnby Harbour lies at the end of a canal of eight kilometres. "
        "Ferries to three islands leave from it.",
    ),
    _page(
        "Asker Fjord",
        "The Asker Fjord is a fjord in the north of Denmark. Its shores are a reserve for seals.",
    ),
)
_VELLING = (
    _page(
        "Marta Velling",
        "Marta Velling (1911 - 1987) was a Danish engineer. "
        "She designed nine bridges, among them the Korsholm Bridge.",
    ),
    _page(
        "Korsholm Bridge",
        "The Korsholm Bridge is a stone bridge over the river Aller. It was opened in 1954.",
    ),
    _page(
        "Velling Prize",
        "The Velling Prize is given every second year to a young builder of bridges.",
    ),
)
_TULLY = (
    _page(
        "Nora Tully",
        "Nora Tully (born 1931) is an Irish teacher and writer from Kilmorran, "
        "the author of the novel The Owl Clock.",
    ),
    _page("Kilmorran", "Kilmorran is a village in the west of Ireland with a school and a small castle."),
    _page(
        "Terry Nolan",
        "Terry Nolan (born 1960) is an Irish runner who won the Kilmorran marathon twice.",
    ),
)
_OWL_CLOCK = (
    _page(
        "The Owl Clock",
        "The Owl Clock is a novel of 1972 about a watchmaker. "
        "It won the Harbour Prize and was filmed by Carl Oster.",
    ),
    _page(
        "Harbour Prize",
        "The Harbour Prize is an award for novels, founded by a group of booksellers in 1958.",
    ),
    _page(
        "Carl Oster",
        "Carl Oster is a Norwegian director. He has made six films, all of them after novels.",
    ),
)
_DUARTE = (
    _page(
        "Ines Duarte",
        "Ines Duarte (1889 - 1970) was a Chilean astronomer who taught at the University of Talmar "
        "and built the Vale Observatory.",
    ),
    _page(
        "University of Talmar", "The University of Talmar is a university in Chile with a school of music."
    ),
    _page("Duarte Street", "Duarte Street is a street in the old town of Talmar, known for its market."),
)
_OBSERVATORY = (
    _page(
        "Vale Observatory",
        "The Vale Observatory is an observatory on Mount Ester. "
        "Its telescope is used by students of Ines Duarte.",
    ),
    _page("Mount Ester", "Mount Ester is a mountain of 2,310 metres in the Andes, first climbed in 1897."),
    _page("Comet Lira", "Comet Lira is a comet that returns every 44 years. It was last seen in 1975."),
)

_DEMONSTRATIONS = (
    Demonstration(
        "Varnby",
        "Which town on the Asker Fjord is known as the birthplace of the engineer "
        "who designed the Korsholm Bridge?",
        (("Varnby", _VARNBY), ("Marta Velling", _VELLING)),
        (("engineer who designed the Korsholm Bridge", _VELLING), ("birthplace of Marta Velling", _VARNBY)),
    ),
    Demonstration(
        "Nora Tully",
        "Which Irish teacher and writer is the author of the novel about a watchmaker "
        "that won the Harbour Prize?",
        (("Nora Tully", _TULLY), ("The Owl Clock", _OWL_CLOCK)),
        (
            ("novel about a watchmaker that won the Harbour Prize", _OWL_CLOCK),
            ("author of The Owl Clock", _TULLY),
        ),
    ),
    Demonstration(
        "Ines Duarte",
        "Which Chilean astronomer taught at the University of Talmar "
        "and built the observatory on Mount Ester?",
        (("Ines Duarte", _DUARTE), ("Vale Observatory", _OBSERVATORY)),
        (("Chilean astronomer University of Talmar observatory", _DUARTE),),
    ),
)
_PEOPLE = Listing(
    "Which people are named in the passages?", "Marta Velling; Nora Tully; Terry Nolan; Carl Oster"
)
_STYLE = FewShot(
    _DEMONSTRATIONS,
    _PEOPLE,
    judged=("the town of Varnby", "Terry Nolan", "the astronomer Ines Duarte", "Korsholm"),
)

proposer = _STYLE.proposer
solver = _STYLE.solver
reader = _STYLE.reader
closed_book = _STYLE.closed_book
all_answers = _STYLE.all_answers
judge = _STYLE.judge
