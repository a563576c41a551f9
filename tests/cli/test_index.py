"""`ssp index` builds, extends, shows and checks; `ssp search --index` uses what it built."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ssp_env import cli
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.worlds import World, WorldConfig, world_preset

SSP = [sys.executable, "-c", "from ssp_env.cli import main; main()"]


@pytest.fixture
def ssp(monkeypatch, capsys):
    """Run the command line; return its exit message or status, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    return run


def write(path, count, first=0):
    records = ({"id": str(n), "title": f"page {n}", "text": "a town"} for n in range(first, first + count))
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_file_is_built_shown_checked_and_searched(ssp, tmp_path):
    out = tmp_path / "index"
    status, built = ssp("index", "build", write(tmp_path / "c.jsonl", 30), "--out", out, "--no-stem")
    assert status == 0
    status, shown = ssp("index", "info", out)
    assert shown.out == built.out
    assert BM25Engine.open(out).fingerprint() in shown.out and "stem             False" in shown.out
    status, checked = ssp("index", "check", out)
    assert status == 0 and "30 passages" in checked.out and "all as written" in checked.out
    status, printed = ssp("search", "17", "--index", out, "--json", "--top-k", 1)
    assert status == 0
    assert json.loads(printed.out)["passages"][0]["id"] == "17"


def test_a_world_is_built_with_the_settings_its_words_need(ssp, tmp_path):
    assert ssp("index", "build", "--world", "tiny", "--world-index", 2, "--out", tmp_path / "tiny")[0] == 0
    pages = World(world_preset("tiny", index=2)).passages()
    expected = BM25Engine(pages, stem=False, all_words_first=True).fingerprint()
    assert BM25Engine.open(tmp_path / "tiny").fingerprint() == expected
    name = "prose_full_200x3-heldout-1"
    assert ssp("index", "build", "--world", name, "--out", tmp_path / "custom")[0] == 0
    expected = BM25Engine(World(WorldConfig.from_id(name)).passages()).fingerprint()
    assert BM25Engine.open(tmp_path / "custom").fingerprint() == expected


def test_an_index_can_be_built_to_be_searched_exactly(ssp, tmp_path):
    corpus = write(tmp_path / "c.jsonl", 30)
    assert "prune_above      50000" in ssp("index", "build", corpus, "--out", tmp_path / "default")[1].out
    assert "prune_above      None" in ssp("index", "build", corpus, "--out", tmp_path / "x", "--exact")[1].out
    exact = BM25Engine.open(tmp_path / "default", exact=True)
    assert BM25Engine.open(tmp_path / "x").fingerprint() == exact.fingerprint()


def test_for_which_corpora_scores_are_computed_beforehand_can_be_chosen(ssp, tmp_path):
    corpus = write(tmp_path / "c.jsonl", 30)
    assert "ranking          bm25 eager" in ssp("index", "build", corpus, "--out", tmp_path / "a")[1].out
    shown = ssp("index", "build", corpus, "--out", tmp_path / "b", "--eager-up-to", 29)[1].out
    assert "ranking          bm25 tantivy" in shown and "eager_up_to      29" in shown
    shown = ssp("index", "build", corpus, "--out", tmp_path / "c", "--eager-memory", 0.000001)[1].out
    assert "ranking          bm25 tantivy" in shown
    shown = ssp("index", "build", corpus, "--out", tmp_path / "d", "--eager-memory", 0.1)[1].out
    assert "ranking          bm25 eager" in shown


def test_title_and_text_can_be_scored_as_one_text(ssp, tmp_path):
    corpus = write(tmp_path / "c.jsonl", 30)
    shown = ssp("index", "build", corpus, "--out", tmp_path / "a", "--one-field")[1].out
    assert "one_field        True" in shown
    engine = BM25Engine.open(tmp_path / "a")
    assert engine.fingerprint() == BM25Engine(read_corpus(corpus), one_field=True).fingerprint()


def test_a_bad_line_is_named_and_skipped_only_if_asked(ssp, tmp_path):
    corpus, out = write(tmp_path / "c.jsonl", 3), tmp_path / "index"
    corpus.write_text(corpus.read_text() + "{\n[1]\n")
    message, _ = ssp("index", "build", corpus, "--out", out)
    assert message.startswith(f"ssp: {corpus}:4: expected one JSON object")
    assert not out.exists()
    status, printed = ssp("index", "build", corpus, "--out", out, "--skip-bad")
    assert status == 0
    assert "skipped 2 malformed" in printed.err and f"{corpus}:5" in printed.err
    assert len(BM25Engine.open(out)) == 3


def test_passages_are_added(ssp, tmp_path):
    out = tmp_path / "index"
    ssp("index", "build", write(tmp_path / "c.jsonl", 3), "--out", out)
    status, printed = ssp("index", "add", out, write(tmp_path / "d.jsonl", 4, first=3))
    assert status == 0 and "7" in printed.out
    assert len(BM25Engine.open(out)) == 7
    message, _ = ssp("index", "add", out, tmp_path / "d.jsonl")
    assert message == "ssp: passage ids must be unique, got '3' twice: 'page 3' and 'page 3'"
    assert len(BM25Engine.open(out)) == 7


def test_damage_is_one_message(ssp, tmp_path):
    out = tmp_path / "index"
    ssp("index", "build", write(tmp_path / "c.jsonl", 3), "--out", out)
    path = next(out.glob("terms-1/scores.npy"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message, _ = ssp("index", "check", out)
    assert message.startswith(f"ssp: {path}: expected the bytes that were written")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["build", "--out", "index"], "expected exactly one of SOURCE and --world"),
        (
            ["build", "c.jsonl", "--world", "tiny", "--out", "index"],
            "expected exactly one of SOURCE and --world",
        ),
        (["build", "--world", "huge", "--out", "index"], "unknown world preset 'huge'"),
        (["build", "--world", "a-b-c", "--out", "index"], "a world id looks like"),
        (["build", "c.jsonl", "--heldout", "--out", "index"], "go with a world preset"),
        (["build", "--world", "tiny-train-3", "--world-index", "2", "--out", "x"], "go with a world preset"),
        (["build", "missing", "--out", "index"], "missing: cannot be read"),
        (["build", "--world", "tiny", "--out", "index", "--title-boost", "0"], "title_boost must be above 0"),
        (["build", "--world", "tiny", "--out", "."], "expected a new or empty directory"),
        (["build", "--world", "tiny", "--out", "."], "with: ssp index add . SOURCE"),
        (["info", "."], "expected an index made by ssp index build"),
        (["check", "."], "expected an index made by ssp index build"),
    ],
)
def test_what_the_user_got_wrong_is_one_message(ssp, monkeypatch, tmp_path, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    message, _ = ssp("index", *arguments)
    assert isinstance(message, str) and message.startswith("ssp: ") and problem in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_a_killed_command_goes_on(ssp, tmp_path):
    corpus, out = write(tmp_path / "c.jsonl", 40_000), tmp_path / "index"
    often = "from ssp_env.search.bm25 import builder; builder._CHECKPOINT = 1000; "
    arguments = ["index", "build", str(corpus), "--out", str(out)]
    command = [*SSP[:-1], often + SSP[-1], *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    progress = tmp_path / ".index.building" / "progress.json"
    while not progress.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and json.loads(progress.read_text())["passages"] >= 1000
    assert ssp(*arguments)[0] == 0
    assert len(BM25Engine.open(out)) == 40_000
    assert not progress.exists()


def test_documents_of_a_folder_are_cut_and_records_only_if_asked(ssp, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text("# Guide\n" + "One more sentence says little. " * 100)
    status, built = ssp("index", "build", tmp_path / "docs", "--out", tmp_path / "cut")
    assert status == 0
    assert "long pages cut into parts: 1 into 4" in built.err
    assert "parts of at most 200 words that overlap by 40" in built.out
    assert ssp("index", "build", tmp_path / "docs", "--out", tmp_path / "whole", "--part-words", 0)[0] == 0
    assert len(BM25Engine.open(tmp_path / "whole")) == 1
    records = tmp_path / "c.jsonl"
    records.write_text(json.dumps({"id": "a", "title": "", "text": "word " * 500}))
    assert "cut" not in ssp("index", "build", records, "--out", tmp_path / "records")[1].err
    assert ssp("index", "add", tmp_path / "records", tmp_path / "docs", "--part-words", 100)[0] == 0
    assert len(BM25Engine.open(tmp_path / "records")) > 5
    message, _ = ssp("index", "build", records, "--out", tmp_path / "x", "--part-words", 9)
    assert message == "ssp: parts of 9 words can repeat 0 to 8 of the part before, got 40"


def test_shards_are_built_and_named_by_their_fingerprints(ssp, tmp_path):
    pages = write(tmp_path / "c.jsonl", 30)
    status, built = ssp("index", "build", pages, "--out", tmp_path / "shards", "--shards", 3)
    assert status == 0 and "passages         10" in built.out
    whole = BM25Engine(read_corpus(pages))
    for number in (1, 2, 3):
        shard = tmp_path / "shards" / f"shard-{number}-of-3"
        assert BM25Engine.open(shard).fingerprint() == f"shard:{number}/3:{whole.fingerprint()}"
        assert ssp("index", "check", shard)[0] == 0
    status, printed = ssp(
        "index", "build", pages, "--out", tmp_path / "x", "--shards", 2, "--eager-memory", 1
    )
    assert "exclude each other" in str(status) + printed.err
