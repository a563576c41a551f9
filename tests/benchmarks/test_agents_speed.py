"""The benchmark of language models plays the same games with every player; no test looks at the clock."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.agents_speed import RereadingAgent, Script, ServerAgent, Workload, _agent
from tests.agents.chatty import build_model, build_tokenizer

TURNS = 2


@pytest.fixture(scope="module")
def workload():
    return Workload.open(TURNS)


@pytest.fixture(scope="module")
def setup():
    tokenizer = build_tokenizer()
    script = Script.write(tokenizer, 10)
    return build_model(len(tokenizer), max_position_embeddings=32_768), tokenizer, script


@pytest.fixture
def server():
    """An endpoint that notes what it is asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, data):
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self._answer({"data": [{"id": "smollm2"}]})

        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer({"choices": [{"text": "hm"}]})

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def test_a_script_has_as_many_tokens_as_you_ask_for_and_none_twice(setup):
    _, tokenizer, script = setup
    assert len(script.token_ids) == len(set(script.token_ids)) == 10
    assert script.text.startswith("<search>") and script.text.endswith("</search>")
    with pytest.raises(ValueError, match="got new_tokens=4000"):
        Script.write(tokenizer, 4000)


def test_all_players_play_the_same_games(workload, setup):
    model, tokenizer, script = setup
    with script.overrule(model):
        ours = _agent(model, tokenizer, 10)
        for player in (RereadingAgent(model, tokenizer, script), ours):
            assert workload.measure(workload.sync(player), 2, script) > 0
        assert ours.sampled_tokens == 2 * TURNS * 10
    # Without the script the model has its own way, and the figures would be of other games.
    with pytest.raises(RuntimeError, match="expected 2 times '<search>"):
        workload.measure(workload.sync(_agent(model, tokenizer, 10)), 1, script)


def test_a_server_samples_as_many_tokens(workload, setup, server):
    url, asked = server
    script = setup[2]
    assert workload.measure(workload.asynchronous(ServerAgent(url, script)), 2, script) > 0
    assert len(asked) == 2 * TURNS
    for request in asked:
        assert (request["model"], request["min_tokens"], request["max_tokens"]) == ("smollm2", 10, 10)
        assert request["ignore_eos"]
    assert script.text in asked[-1]["prompt"]
