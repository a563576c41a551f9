"""A stand-in for verl's rollout servers, verl's configuration for it, and the same games without verl."""

import asyncio
import zlib
from dataclasses import replace

import pytest
import torch

pytest.importorskip("transfer_queue", reason="needs verl 0.9 and what it imports: make parity")

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.workers.rollout.replica import TokenOutput

from agents.conversation_tokens import ConversationTokens
from baselines.verl import MANAGER
from baselines.verl.dataset import task_of
from baselines.verl.game_loop import GameLoop
from baselines.verl.options import GameOptions
from ssp_env.game import PROTOCOLS, Game, Reply
from ssp_env.play import play
from ssp_env.search.shared import SharedEngine
from tests.agents import chatty

WORDS = {
    "search": "<search> {} </search>",
    "question": "<question> {} </question>",
    "answer": "<answer> {} </answer>",
}
QUESTION = "who is it that lives where the one from the town of belin went ?"
RULES = {
    "attempts": 3,
    "noise_passages": 2,
    "min_searches": 1,
    "top_k": 2,
    "reward": "1-acc",
    "min_question_words": 3,
}


def tokenizer():
    return chatty.build_tokenizer(words=chatty.TAGS)


def script(view_key: str, turn: int, answer: str) -> str:
    """What a seat says: two of three attempts are right, in later sessions one, and a thought has a tag."""
    session, seat, phase = view_key.split("/")[-3:]
    if phase.startswith("verify"):
        return WORDS["answer"].format(answer)
    if seat == "proposer_0":
        said = WORDS["search"].format(answer) if turn == 0 else WORDS["question"].format(QUESTION)
        return f"<think>no </search> yet</think> {said} and then some"
    if turn == 0:
        return "bl " + WORDS["search"].format("blurred")
    wrong = ("solver_1",) if session == "0" else ("solver_1", "solver_2")
    return WORDS["answer"].format("nobody" if seat in wrong else answer)


class ScriptedServer:
    """Says what the script wants as a server would: up to a stop text, one token id for every byte.

    The tokenizer would write some of it in fewer tokens, so that nobody may tokenise it again.
    """

    def __init__(self, tokenizer, answer, version=7):
        self.tokenizer, self.answer, self.version = tokenizer, answer, version
        self.calls = []
        self._turns: dict[str, list[int]] = {}

    async def generate(self, request_id, *, prompt_ids, sampling_params):
        await asyncio.sleep(0)
        self.calls.append((request_id, list(prompt_ids), dict(sampling_params)))
        said = self._rest(request_id, prompt_ids)
        ids, text = [], ""
        for id_ in said[: sampling_params["max_tokens"]]:
            ids.append(id_)
            text += self.tokenizer.decode([id_])
            if any(text.endswith(stop) for stop in sampling_params["stop"]):
                break
        logprobs = [logprob(id_) for id_ in ids] if sampling_params["logprobs"] else None
        return TokenOutput(token_ids=ids, log_probs=logprobs, extra_fields={"global_steps": self.version})

    def _rest(self, key, prompt_ids):
        """What is left to say of a turn that was stopped too early, or all of the next turn."""
        lengths = self._turns.setdefault(key, [])
        if lengths and tuple(prompt_ids[lengths[-1] :]) in self._prefixes(key, len(lengths) - 1):
            return self._said(key, len(lengths) - 1)[len(prompt_ids) - lengths[-1] :]
        lengths.append(len(prompt_ids))
        return self._said(key, len(lengths) - 1)

    def _prefixes(self, key, turn):
        said = self._said(key, turn)
        return {tuple(said[:end]) for end in range(1, len(said))}

    def _said(self, key, turn):
        return spelled(self.tokenizer, script(key, turn, self.answer))


def logprob(id_):
    return -(1 + id_ % 7) / 8


def spelled(tokenizer, text):
    """The ids of a text, tags as they are and everything else byte by byte."""
    ids = []
    for id_ in tokenizer(text, add_special_tokens=False)["input_ids"]:
        piece = tokenizer.convert_ids_to_tokens(id_)
        whole = piece in chatty.TAGS
        ids += [id_] if whole else tokenizer.convert_tokens_to_ids(list(piece))
    return ids


class ScriptedPlayer:
    """The same turns from a player of ours, which no server and no loop of verl is asked for."""

    def __init__(self, tokenizer, answer, protocol="default"):
        self.tokenizer, self.answer = tokenizer, answer
        self.tokens = ConversationTokens(tokenizer, protocol=PROTOCOLS[protocol], max_prompt_tokens=20_000)

    def act(self, view):
        turn = sum(message.role == "assistant" for message in view.messages)
        key = "/".join(view.conversation_id)
        said = spelled(self.tokenizer, script(key, turn, self.answer))
        ends = (end for end in range(1, len(said) + 1) if self.tokens.is_finished(view, said[:end]))
        ids = said[: next(ends)]
        prompt = self.tokens.prompt(view)
        reply = self.tokens.reply(view, prompt, ids, [logprob(id_) for id_ in ids])
        return Reply(reply.text, reply.token_ids, reply.logprobs, reply.context_ids, weights_version="7")


def configuration(scenario=None, **options):
    """As much of verl's configuration as an agent loop reads."""
    ssp = {
        "scenario": scenario or {"world": "tiny", "hops": [1], "prompts": "english", "rules": RULES},
        "max_new_tokens": 300,
    }
    rollout = {
        "name": "vllm",
        "prompt_length": 9000,
        "response_length": 4000,
        "agent": {"agent_loop_manager_class": MANAGER},
    }
    given = {
        "data": {"ssp": ssp | options.pop("ssp", {})},
        "actor_rollout_ref": {"rollout": rollout | options.pop("rollout", {})},
        "algorithm": {"adv_estimator": "ssp"},
    }
    return OmegaConf.merge(OmegaConf.create(given), OmegaConf.create(options))


SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True}


def run(config, server, made, row, **sampling):
    """Make the loop as verl makes one for every row, on a running event loop, and let it run."""

    async def inside():
        loop = GameLoop(
            trainer_config=DictConfigWrap(config),
            server_manager=server,
            tokenizer=made,
            processor=None,
            dataset_cls=None,
            data_config=DictConfigWrap(config.data),
            tools=None,
        )
        return await loop.run(SAMPLING | sampling, **row)

    return asyncio.run(inside())


def played_without_verl(config, row, player, seed=0):
    """The game of a row, played by our own driver over an engine of its own."""
    options = GameOptions.of(config.data)
    name = f"{row['uid']}/{row['session_id']}"
    task = replace(task_of(row), id=row["uid"])
    game = Game(task, options.opened.rules, zlib.crc32(name.encode()), name)
    play([game], proposer=player, solver=player, search=SharedEngine(options.opened.engine), seed=seed)
    return game


def padded(rows, width=None):
    """Right-padded tensors of lists."""
    return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(row) for row in rows], batch_first=True)
