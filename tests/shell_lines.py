"""Shell lines of the pages: which are shortened in the tests, which are not run there, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What the tests do with shell lines; the first rule that is about a line holds.

    Attributes:
        words: Regular expression that is found in the line without its comment.
        reason: Why it is not run as it stands.
        added: Options that make it take seconds.
        tested: Where what the line shows is tested; with it, the line is not run.
    """

    words: str
    reason: str
    added: str = ""
    tested: str = ""


SERVER = "needs a server"
GPU = "needs GPUs"
MINUTES = "takes minutes or hours"
LIBRARY = "needs another library"
DOWNLOAD = "downloads what it installs"
DATA = "needs data that nobody here may pass on"

BRIEF = (
    "--preset smoke --steps 1 --rule max_tokens=8 --set models_every=1 "
    "--set evaluation.questions=2 --set evaluation.validation_questions=1 "
    "--set warm_start.lookup_steps=1 --set warm_start.cloning_steps=1 --set warm_start.cloning_games=1"
)
BRIEF_MODEL = (
    "--steps 1 --attempts 2 --set answers=1 --set source.worlds=1 --set rollout.max_new_tokens=4 "
    "--set warm_start.cloning_steps=1 --set warm_start.cloning_games=1 --set evaluation.questions=1"
)
DRY = (
    "--preset smoke --dry-run --rule max_tokens=8 --set answers=2 --set evaluation.questions=2 "
    "--set warm_start.lookup_sequences=1 --set warm_start.cloning_games=1"
)

MODEL = "a model that babbles stands in for SmolLM2"
FEW = "--max-new-tokens 4 --max-turns 2"

RULES = (
    Rule("^make ", MINUTES, tested="tests/test_readme.py"),
    Rule("pip install", DOWNLOAD, tested=".ci/run"),
    Rule("npm install", DOWNLOAD, tested="tests/benchmarks/test_accessibility.py"),
    Rule("bash examples/one_node.sh", GPU, tested="tests/examples/test_one_node.py"),
    Rule("vllm serve", GPU, tested="tests/agents/test_vllm_served.py"),
    Rule("--judge chat:", SERVER, tested="tests/baselines/evaluation/test_judging.py"),
    Rule("chat:", SERVER, tested="tests/agents/test_chat_endpoint.py"),
    Rule("vllm:http", SERVER, tested="tests/agents/test_vllm_served.py"),
    Rule("benchmarks.agents_speed", SERVER, tested="tests/benchmarks/test_agents_speed.py"),
    Rule("benchmarks.backends", SERVER, tested="tests/benchmarks/test_backends.py"),
    Rule("--search http", SERVER, tested="tests/search/test_replicas.py"),
    Rule("verl.trainer", GPU, tested="tests/baselines/verl/test_worker.py"),
    Rule("--openenv", LIBRARY, tested="tests/integrations/test_openenv.py"),
    Rule("--tracker wandb", LIBRARY, tested="tests/baselines/runs/test_tracking.py"),
    Rule("--encoder gt_all", LIBRARY, tested="tests/benchmarks/test_retrieval.py"),
    Rule("human", "needs a person", tested="tests/agents/test_play_command.py"),
    Rule("--mcp stdio", SERVER, tested="tests/serve/test_mcp_server.py"),
    Rule("ssp bench", MINUTES, tested="tests/baselines/suite/test_bench.py"),
    Rule("benchmarks.accessibility", LIBRARY, tested="tests/benchmarks/test_accessibility.py"),
    Rule("benchmarks.language", DATA, tested="tests/benchmarks/test_languages.py"),
    Rule("benchmarks.retrieval (speed|curve)", MINUTES, tested="tests/benchmarks/test_retrieval.py"),
    Rule("benchmarks.retrieval correctness", MINUTES, added="--passages 200 --queries 20"),
    Rule("benchmarks.evaluation_sets", MODEL, added="--known 1 --sample 1 --results figures.json"),
    Rule("benchmarks.judges", MODEL, added="--known 2 --max-new-tokens 4"),
    Rule("baselines.comparison", MINUTES, tested="tests/baselines/comparison/test_recipes.py"),
    Rule("regenerate$", "writes into the project", tested="tests/playthroughs/test_playthroughs.py"),
    Rule("ssp eval smollm2.*--games", MODEL, added=f"{FEW} --games 1 --known 1"),
    Rule("ssp eval smollm2", MODEL, added=FEW),
    Rule("ssp play.*smollm2", MODEL, added=f"{FEW} --games 1"),
    Rule("ssp eval runs.*--games", MINUTES, added="--games 1 --known 1 --rule max_tokens=8"),
    Rule("ssp eval runs", MINUTES, added="--known 3"),
    Rule("ssp league --run", MINUTES, added="--games 4"),
    Rule("--preset smollm2.*--name solver", MODEL, added=BRIEF_MODEL),
    Rule("--preset smollm2", MODEL, added=f"{BRIEF_MODEL} --dry-run"),
    Rule("--preset (qwen2.5-7b-paper|search-r1)", GPU, added="--dry-run"),
    Rule("models_every", MINUTES, added=f"{BRIEF} --steps 2"),
    Rule("--resume", MINUTES, added="--steps 2"),
    Rule("--name", MINUTES, added=BRIEF),
    Rule("--warm-start", MINUTES, added=DRY),
    Rule("ssp train|baselines.ppo", MINUTES, added=DRY),
)
