"""A server that speaks vLLM's protocol and says what a script tells: `python -m tests.agents.fake_vllm`.

It samples one byte at a time, stops where vLLM does, and behaves badly on request. What it was asked is told
at `/asked`.
"""

import argparse
import asyncio
import json
from contextlib import contextmanager
from urllib.request import urlopen

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from tests.agents.byte_tokenizer import END, byte_backend, spell
from tests.serve.running import running

TOKENIZER = byte_backend()
SEARCH = "I look. <search> blue whale </search>"
QUESTION = "<question> What do blue whales eat near the poles in summer, every single day? </question>"
ANSWER = "<answer> krill </answer>"
OFFSETS = {"raw_logprobs": lambda temperature: 1.0, "processed_logprobs": lambda temperature: temperature}


def script(prompt, stop, weights):
    """What the model says: search first, then finish; weights called `wrong` know no answer."""
    answer = ANSWER if weights != "wrong" else "<answer> bread </answer>"
    if len(stop) == 1:
        return answer
    searched = "Doc 1 (Title" in prompt
    return (QUESTION if "</question>" in stop else answer) if searched else SEARCH


class Served:
    """State of the server."""

    def __init__(self, options):
        self.options = options
        self.asked = []
        self.calls = []
        self.version = "default"
        self.weights = "right"
        self.adapters = {}
        self.running = 0
        self.paused = asyncio.Event()
        self.paused.set()

    def names(self):
        return [self.options.name, *self.adapters]


def build(options):
    app, served = FastAPI(), Served(options)

    def refused(status, message):
        return JSONResponse({"error": {"message": message, "code": status}}, status)

    @app.get("/v1/models")
    def models():
        base = {
            "id": options.name,
            "max_model_len": options.max_model_len,
            "parent": None,
            "root": options.root,
        }
        adapters = [{"id": name, "max_model_len": None, "parent": options.name} for name in served.adapters]
        return {"data": [base, *adapters]}

    @app.post("/tokenize")
    async def tokenize(request: Request):
        text = (await request.json())["prompt"]
        return {"tokens": [*TOKENIZER.encode(text).ids, *[7] * options.other_tokenizer]}

    @app.get("/asked")
    def told():
        return {"completions": served.asked, "calls": served.calls}

    @app.post("/v1/completions")
    async def completions(request: Request):
        body = await request.json()
        probing = body["max_tokens"] == 1 and body.get("logprobs") == 5
        if not probing:
            served.asked.append(body)
        if options.fail_after is not None and len(served.asked) > options.fail_after:
            return PlainTextResponse("<html>busy</html>", options.fail_status)
        if body["model"] not in served.names():
            return refused(404, f"The model `{body['model']}` does not exist.")
        if len(body["prompt"]) + body["max_tokens"] > options.max_model_len:
            return refused(400, f"This model's maximum context length is {options.max_model_len} tokens.")
        await served.paused.wait()
        served.running += 1
        try:
            await asyncio.sleep(0 if probing else options.delay)
            return probe(options, body) if probing else sampled(served, body)
        finally:
            served.running -= 1

    weight_routes(app, served, refused)
    return app


def probe(options, body):
    logits = [3.0, 2.0, 1.0, 0.0, -1.0]
    if options.logprobs_mode == "none":
        return {"choices": [{"token_ids": [1], "logprobs": None, "finish_reason": "length"}]}
    scale = OFFSETS.get(options.logprobs_mode, lambda temperature: 1.0)(body["temperature"])
    shift = 0.0 if options.logprobs_mode == "raw_logits" else -6.0
    top = {f"token_id:{place}": logit / scale + shift for place, logit in enumerate(logits)}
    logprobs = {"token_logprobs": [shift], "top_logprobs": [top]}
    return {"choices": [{"token_ids": [1], "logprobs": logprobs, "finish_reason": "length"}]}


def sampled(served, body):
    options = served.options
    prompt = TOKENIZER.decode(body["prompt"], skip_special_tokens=False)
    weights = served.adapters.get(body["model"], served.weights)
    whole = options.before + script(prompt, body["stop"], weights)
    # What was said already is the end of the prompt.
    said = max(count for count in range(len(whole)) if prompt.endswith(whole[:count]))
    wanted = [*spell(TOKENIZER, whole[said:]), TOKENIZER.token_to_id(END)]
    ids = []
    reason = "length"
    for token in wanted[: body["max_tokens"]]:
        ids.append(token)
        text = TOKENIZER.decode(ids)
        if token in body["stop_token_ids"] or any(text.endswith(stop) for stop in body["stop"]):
            reason = "stop"
            break
    logprobs = {"token_logprobs": [-(token % 7) / 10 for token in ids]}
    choice = {"token_ids": ids, "logprobs": logprobs, "finish_reason": reason}
    if options.flaw == "no ids":
        del choice["token_ids"]
    if options.flaw == "few logprobs":
        choice["logprobs"]["token_logprobs"].pop()
    if options.flaw == "aborts":
        choice["finish_reason"] = "abort"
    return {"choices": [choice]}


def weight_routes(app, served, refused):
    if served.options.no_dev_mode:
        return

    @app.get("/weight_info")
    def weight_info():
        return {"weight_version": served.version}

    @app.post("/pause")
    async def pause(mode: str = "abort"):
        served.calls.append(f"pause {mode}")
        served.paused.clear()
        while served.running:
            await asyncio.sleep(0.001)
        return {"status": "paused"}

    @app.post("/resume")
    def resume():
        served.calls.append("resume")
        served.paused.set()
        return {"status": "resumed"}

    @app.post("/collective_rpc")
    async def collective_rpc(request: Request):
        body = await request.json()
        served.calls.append(body["method"])
        name = body["kwargs"]["weights_path"].rpartition("/")[2]
        if name == "broken":
            return PlainTextResponse("Internal Server Error", 500)
        served.weights = name
        return {"results": [None]}

    @app.post("/reset_prefix_cache")
    def reset_prefix_cache():
        served.calls.append("reset_prefix_cache")
        return {"success": True}

    @app.post("/update_weight_version")
    async def update_weight_version(request: Request):
        served.version = (await request.json())["new_version"]
        served.calls.append(f"version {served.version}")
        return {"success": True}

    adapter_routes(app, served, refused)


def adapter_routes(app, served, refused):
    @app.post("/v1/load_lora_adapter")
    async def load_lora_adapter(request: Request):
        body = await request.json()
        if body["lora_path"].endswith("broken"):
            return refused(400, "no adapter_config.json there")
        if body["lora_name"] in served.adapters:
            return refused(400, f"The lora adapter '{body['lora_name']}' has already been loaded.")
        served.adapters[body["lora_name"]] = body["lora_path"].rpartition("/")[2]
        served.calls.append(f"load {body['lora_name']}")
        return PlainTextResponse("Success")

    @app.post("/v1/unload_lora_adapter")
    async def unload_lora_adapter(request: Request):
        name = (await request.json())["lora_name"]
        del served.adapters[name]
        served.calls.append(f"unload {name}")
        return PlainTextResponse("Success")


def parse(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="whale")
    parser.add_argument("--root", default="")
    parser.add_argument("--max-model-len", type=int, default=16_000)
    parser.add_argument("--logprobs-mode", default="processed_logprobs")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--before", default="")
    parser.add_argument("--flaw", default="")
    parser.add_argument("--fail-after", type=int)
    parser.add_argument("--fail-status", type=int, default=500)
    parser.add_argument("--other-tokenizer", action="store_true")
    parser.add_argument("--no-dev-mode", action="store_true")
    return parser.parse_args(arguments)


@contextmanager
def serving(*arguments):
    """Serve in a thread, which starts sooner than a process; give the address."""
    with running(build(parse([*map(str, arguments)]))) as url:
        yield url


def asked(url):
    """What a server was asked."""
    # httpx reads certificates first, which takes longer than the request.
    with urlopen(f"{url}/asked") as reply:
        return json.load(reply)


def main():
    options = parse()
    uvicorn.run(build(options), host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
