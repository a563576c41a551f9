"""Blocks of the pages that nothing runs or reads: what compares them with what is printed, or why nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """A block without a language that is run or read, or comment lines of shell blocks.

    Attributes:
        page: Name of the page, below the root.
        words: What stands in the block.
        tested: The test that compares it with what it shows.
        reason: Why its text is not compared word for word.
    """

    page: str
    words: str
    tested: str = ""
    reason: str = ""


HERE = "tests/test_shown_output.py"
WALK = "tests/test_shell_blocks.py"
EXAMPLES = "tests/examples/test_examples.py"
LIBRARIES = "tests/examples/test_frameworks.py"
OTHER_ROUNDING = "it takes minutes and ends a little differently on other processors: figures are compared"
NOT_INSTALLED = "it takes weights and passages that are not installed"

SHOWN = (
    Shown("README.md", "proposer_0    <search> vuleb", tested="tests/test_readme.py"),
    Shown("docs/league.md", "The solver's share of the points", tested=WALK),
    Shown("docs/results.md", "Held-out sampled pass@1", HERE, OTHER_ROUNDING),
    Shown("docs/bench.md", "def train(lesson)", LIBRARIES, "the example without its options, which is run"),
    Shown("docs/game.md", "PROPOSE", reason="a drawing"),
    Shown("docs/getting-started.md", "what a user installs", HERE, "a list of folders"),
    Shown("docs/getting-started.md", "Wallace Dollase", reason=NOT_INSTALLED),
    Shown("docs/getting-started.md", "# valid questions", reason=NOT_INSTALLED),
    Shown("docs/serve.md", "podman run", "tests/scripts/test_containerfile.py", "commands of an image"),
    Shown("examples/README.md", "own_agent.py", tested=EXAMPLES),
    Shown("examples/README.md", "search_tool.py", tested=EXAMPLES),
    Shown("examples/README.md", "tabular_reinforce.py", tested=EXAMPLES),
    Shown("examples/README.md", "memorising.py", tested=EXAMPLES),
    Shown("examples/README.md", "sb3_ppo.py", LIBRARIES, OTHER_ROUNDING),
    Shown("examples/README.md", "sb3_maskable_ppo.py", LIBRARIES, OTHER_ROUNDING),
    Shown("examples/README.md", "torchrl_ppo.py", LIBRARIES, OTHER_ROUNDING),
    Shown("examples/README.md", "tianshou_ppo.py", LIBRARIES, OTHER_ROUNDING),
    Shown("examples/README.md", "rllib_self_play.py", LIBRARIES, OTHER_ROUNDING),
)
