"""What a player's name stands for: a model in a folder, behind an endpoint or a server, or a Python object.

A prefix of `BACK_ENDS` before a colon names a back end. An existing folder is a checkpoint, or a training run
and stands for its final model, that of the player's role if roles have one each. Every other name of the form
`package.module:object` is an object of the user's own. A new back end is one function here and one more line
in `BACK_ENDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from agents.sampling_params import ENDPOINT_MAX_NEW_TOKENS, LOCAL_MAX_NEW_TOKENS, SamplingParams
from agents.scripted import SCRIPTED
from ssp_env.game import PROTOCOLS
from ssp_env.game.prompts import PROMPT_STYLES
from ssp_env.objects import is_object_name, load_object
from ssp_env.play import AnyAgent, AnyAsyncAgent, AnyPlayer, as_agent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.chat_endpoint import Ledger
    from agents.conversation_tokens import Rendering

MODELS_OF_RUN = ("warm-start", "best", "final")
SMOLLM2 = "smollm2"
HUMAN = "human"

Prompts = Literal["terse", "few_shot", "drawn", "english"]
"""Name of a prompt style; scripted players and tiny policies read the terse one only."""


@dataclass(frozen=True, kw_only=True)
class PlayerOptions:
    """What players made by name are told.

    Attributes:
        sampling: How language models sample.
        prompts: Prompt style they should read; the one that suits each of them if None.
        protocol: Name of the protocol they should speak; the one that suits each of them if None.
        api_key_variable: Environment variable with the key of chat endpoints.
        concurrency: Most requests that a chat endpoint gets at a time.
        ledger: Where the usage of all chat endpoints is added up; each has one of its own if None.
        labels: How error messages name the player of a role, by its option for instance; by the role itself
            if nothing is said.
    """

    sampling: SamplingParams = SamplingParams()  # noqa: RUF009 - frozen
    prompts: Prompts | None = None
    protocol: str | None = None
    api_key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 16
    ledger: Ledger | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, role: str) -> str:
        """Return how error messages name the player of a role."""
        return self.labels.get(role, role)

    def protocol_for(self, prompts: Prompts) -> str:
        """Return the name of the protocol that suits players who read prompts of that style."""
        return self.protocol or ("terse" if prompts == "terse" else "default")


class MadePlayer(NamedTuple):
    """A player that was made.

    Attributes:
        player: The player.
        prompts: Prompt style it reads; None if it reads whatever the others read.
        model: Its model, by the name it has where it runs; empty if the player's own name is as good.
        back_end: What runs the model.
        protocol: Name of the protocol it speaks; empty if it speaks whatever the others speak.
        reads_terse_pages_only: Whether it knows no words but those of terse worlds.
    """

    player: AnyAgent | AnyAsyncAgent
    prompts: Prompts | None
    model: str = ""
    back_end: str = "transformers"
    protocol: str = ""
    reads_terse_pages_only: bool = False


@dataclass(frozen=True)
class BackEnd:
    """Players whose names begin with a prefix.

    Attributes:
        form: How such a name is written.
        make: Makes a player of what follows the prefix and the `PlayerOptions`.
    """

    form: str
    make: Callable[[str, PlayerOptions], MadePlayer]


def possible_names(role: str) -> str:
    """Return what a player of a role, or a judge, may be called.

    >>> possible_names("reader").partition(", vllm:")[0]
    'perfect, guess (scripted), smollm2, human, chat:MODEL[@URL]'
    """
    scripted = f"{', '.join(SCRIPTED[role])} (scripted), " if role in SCRIPTED else ""
    person = [HUMAN] if role in SCRIPTED else []
    forms = [back_end.form for back_end in BACK_ENDS.values()]
    named = ", ".join([SMOLLM2, *person, *forms])
    own = "an object of your own as package.module:object"
    return f"{scripted}{named}, a folder with a model or a run, or {own}"


def is_local_model(name: str) -> bool:
    """Whether a name stands for a model that transformers runs in this process."""
    return name == SMOLLM2 or Path(name).is_dir()


def holds_weights(name: str) -> bool:
    """Whether a name stands for a model whose weights lie in this process.

    >>> holds_weights("vllm:runs/first"), holds_weights("vllm:http://localhost:8000"), holds_weights("weak")
    (True, False, False)
    """
    in_process = name.startswith("vllm:") and "http://" not in name and "https://" not in name
    return is_local_model(name) or in_process


def stands_for_player(name: str) -> bool:
    """Whether a name is that of a player whatever folders there are.

    >>> stands_for_player("weak"), stands_for_player("chat:llama"), stands_for_player("runs/first")
    (True, True, False)
    """
    by_name = {SMOLLM2, HUMAN, *chain.from_iterable(SCRIPTED.values())}
    return name in by_name or name.partition(":")[0] in BACK_ENDS or is_object_name(name)


def default_max_new_tokens(name: str) -> int:
    """Return the most tokens of one turn of a player, unless somebody says otherwise.

    >>> default_max_new_tokens("chat:llama"), default_max_new_tokens("smollm2")
    (1024, 96)
    """
    return ENDPOINT_MAX_NEW_TOKENS if name.partition(":")[0] in BACK_ENDS else LOCAL_MAX_NEW_TOKENS


def own_player(player: AnyPlayer, role: str, options: PlayerOptions, name: str = "") -> MadePlayer:
    """Make a player of an object of the user's own.

    The prompts it reads are those that its attribute `prompts` names, else those of the options; None if
    neither says.

    Raises:
        TypeError: If it is no player.
        ValueError: If its attribute `prompts` names no prompt style.
    """
    prompts = getattr(player, "prompts", None)
    if isinstance(prompts, str) and prompts not in PROMPT_STYLES:
        raise ValueError(
            f"the attribute `prompts` of a {role} must be one of {', '.join(PROMPT_STYLES)}, got {prompts!r}"
        )
    style = cast("Prompts", prompts) if isinstance(prompts, str) else options.prompts
    return MadePlayer(as_agent(player, role), style, name or type(player).__name__, "Python")


def player_by_name(role: str, name: str, options: PlayerOptions) -> MadePlayer:
    """Make the player that a name stands for; scripted and human players are none of them.

    Args:
        role: What it shall play; error messages name it as `options.label` says.
        name: See `possible_names`.
        options: What it is told.

    Raises:
        ValueError: If the name stands for nothing, or what it stands for cannot play.
        SmolLM2Missing: If SmolLM2 is wanted and not installed.
    """
    from agents import smollm2

    if name == SMOLLM2:
        model, tokenizer = smollm2.load()
        return language_model(model, tokenizer, _reading(None, tokenizer, options, "few_shot"), options)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in BACK_ENDS:
        return BACK_ENDS[prefix].make(rest, options)
    folder = model_of_run(Path(name), role=role)
    if (folder / "config.json").is_file():
        return _checkpoint(folder, options)
    if folder.is_dir():
        found = _shortened(sorted(path.name for path in folder.iterdir())) or "nothing"
        problem = f"expected config.json, weights and a tokenizer in it, found {found}"
        raise ValueError(f"{options.label(role)}: there is no model in the folder {name!r}: {problem}")
    if is_object_name(name):
        return load_object(name, options.label(role), lambda given: own_player(given, role, options, name))
    missing = "; there is no folder of that name" if "/" in name or "\\" in name else ""
    hint = missing or _meant(role, name)
    raise ValueError(f"{options.label(role)} must be one of {possible_names(role)}, got {name!r}{hint}")


def _meant(role: str, name: str) -> str:
    """Suggest an object's name for one with dots alone, or the nearest name of a player."""
    module, dot, attribute = name.rpartition(".")
    if dot and name.replace(".", "").isidentifier():
        return f"; did you mean {module}:{'OBJECT' if attribute == 'py' else attribute}, with a colon?"
    near = get_close_matches(name, [*SCRIPTED.get(role, ()), SMOLLM2, HUMAN], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def model_of_run(folder: Path, part: str = "final", role: str = "") -> Path:
    """Return the folder of a training run's model if the folder is that of a run, else the folder itself.

    Args:
        folder: Any path.
        part: Which model of the run, one of `MODELS_OF_RUN`; a folder `RUN/best` names that one itself.
        role: Whose model, if the run has one for each role: `proposer`, `solver` or `reader`, who has the
            solver's.

    Raises:
        ValueError: If the run has no such model yet, or one for each role and the role is neither of them.
    """
    folder, part = _part_of_run(folder, part)
    if not _is_run(folder):
        return folder
    if has_model_by_role(folder, part):
        whose = "solver" if role == "reader" else role
        if (folder / part / whose / "config.json").is_file():
            return folder / part / whose
        raise ValueError(
            f"the run in {folder} has a model for each role: name {folder / part / 'solver'} or "
            f"{folder / part / 'proposer'}"
        )
    if not (folder / part / "config.json").is_file():
        when = "; it is kept from the first validation on" if part == "best" else ""
        raise ValueError(
            f"the run in {folder} has no {part} model yet{when}: continue it with ssp train --resume {folder}"
        )
    return folder / part


def has_model_by_role(folder: Path, part: str = "final") -> bool:
    """Whether a folder is that of a training run, or of its best or final model, with one for each role."""
    folder, part = _part_of_run(folder, part)
    return _is_run(folder) and (folder / part / "solver" / "config.json").is_file()


def _part_of_run(folder: Path, part: str) -> tuple[Path, str]:
    """Return the run and the part of it that a folder names, or else what was given."""
    if folder.name in MODELS_OF_RUN and _is_run(folder.parent):
        return folder.parent, folder.name
    return folder, part


def _is_run(folder: Path) -> bool:
    return bool(_config_of_run(folder))


def _config_of_run(folder: Path) -> dict[str, Any]:
    """Return what a training run was configured with; nothing if the folder is not that of a run."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    # Models have a config.json too, which names their architecture instead.
    is_run = isinstance(config, dict) and {"preset", "game", "warm_start"} <= config.keys()
    return config if is_run else {}


class Reading(NamedTuple):
    """How a language model is shown a game.

    Attributes:
        prompts: Prompt style.
        protocol: Name of the protocol.
        rendering: How messages become text.
    """

    prompts: Prompts
    protocol: str
    rendering: Rendering


def _reading(
    folder: Path | None,
    tokenizer: PreTrainedTokenizerBase,
    options: PlayerOptions,
    suits: Prompts | None = None,
) -> Reading:
    """Return how a model is shown a game: as in its training run, if it is of one, unless options differ.

    Args:
        folder: The model's folder; those of a run lie within the run's.
        tokenizer: Its tokenizer.
        options: What players are told.
        suits: The style that suits it best; instructions if it has a chat template, if None.
    """
    outer = () if folder is None else (folder, *folder.absolute().parents[:2])
    run = next(filter(None, map(_config_of_run, outer)), {})
    trained, rendering = run.get("game", {}), run.get("rollout", {}).get("rendering", "auto")
    # Models without a chat template know no instructions.
    suits = trained.get("prompts") or suits or ("english" if tokenizer.chat_template else "few_shot")
    prompts = options.prompts or suits
    if prompts == trained.get("prompts"):
        options = replace(options, protocol=options.protocol or trained.get("protocol"))
    if rendering == "auto" or prompts != trained.get("prompts"):
        rendering = "chat" if prompts == "english" else "plain"
    return Reading(prompts, options.protocol_for(prompts), rendering)


# -- models in this process ------------------------------------------------------------------------------


def language_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading, options: PlayerOptions
) -> MadePlayer:
    """Make a player of a language model of transformers."""
    from agents.transformers_agent import TransformersAgent

    player = TransformersAgent(
        model,
        tokenizer,
        protocol=PROTOCOLS[reading.protocol],
        rendering=reading.rendering,
        sampling=options.sampling,
    )
    return MadePlayer(player, reading.prompts, protocol=reading.protocol)


def _checkpoint(folder: Path, options: PlayerOptions) -> MadePlayer:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agents import tiny_model
    from agents.tiny_policy import TinyPolicy

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the folder {str(folder)!r} has no tokenizer that can be read: save it there with "
            f"tokenizer.save_pretrained ({error})"
        ) from error
    # A word-level tokenizer has a closing tag as one word.
    if "</search>" in tokenizer.get_vocab() and tokenizer.chat_template is None:
        sampling = options.sampling
        policy = TinyPolicy(*tiny_model.load(folder), temperature=sampling.temperature, seed=sampling.seed)
        return MadePlayer(policy, "terse", reads_terse_pages_only=True)
    if tokenizer.chat_template is None and options.prompts == "english":
        raise ValueError(
            f"the tokenizer in {str(folder)!r} has no chat template, which english prompts need: choose "
            "--prompts few_shot, or set tokenizer.chat_template and save the tokenizer again"
        )
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
    return language_model(model, tokenizer, _reading(folder, tokenizer, options), options)


def _shortened(names: Sequence[str], most: int = 5) -> str:
    return ", ".join([*names[:most], *["..."] * (len(names) > most)])


# -- models elsewhere ------------------------------------------------------------------------------------


def _chat_player(name: str, options: PlayerOptions) -> MadePlayer:
    """Make the player `chat:MODEL` or `chat:MODEL@URL`.

    Raises:
        ValueError: If there is no model in the name, or the address or the key is malformed.
    """
    from agents.chat_endpoint import ChatClient, ChatEndpointAgent

    # Models may have an @ in their names.
    model, at, address = name.partition("@http")
    if not model or model.startswith(("http://", "https://")):
        raise ValueError(f"expected chat:MODEL or chat:MODEL@URL, got {f'chat:{name}'!r}")
    client = ChatClient(
        f"http{address}" if at else None,
        api_key_variable=options.api_key_variable,
        concurrency=options.concurrency,
        ledger=options.ledger,
    )
    prompts = options.prompts or "english"
    protocol = options.protocol_for(prompts)
    player = ChatEndpointAgent(model, client, protocol=PROTOCOLS[protocol], sampling=options.sampling)
    return MadePlayer(player, prompts, model, "chat", protocol)


VLLM_FORM = (
    "vllm:URL[,URL...], vllm:FOLDER@URL[,URL...] if the servers' model folder is elsewhere, or vllm:FOLDER"
)


def _vllm_player(rest: str, options: PlayerOptions) -> MadePlayer:
    """Make the player `vllm:URL[,URL...]` of servers, or `vllm:FOLDER` of an engine in this process.

    Raises:
        ValueError: If the name is malformed, or no tokenizer can be found.
        NoServerLeft: If no server can be reached.
    """
    from agents.vllm.in_process import VLLMEngineAgent
    from agents.vllm.served import VLLMServerAgent
    from agents.vllm.server import first_served, server_url

    folder, _, urls = rest.rpartition("@")
    if not urls.startswith(("http://", "https://")):
        folder, urls = rest, ""
    addresses = [server_url(url) for url in urls.split(",") if url]
    model, root = ("", folder) if folder else first_served(addresses)
    if root is None:
        raise ValueError(f"{addresses[0]} does not tell its model's folder: write {VLLM_FORM}")
    where = model_of_run(Path(root))
    if not (where / "config.json").is_file():
        raise ValueError(
            f"expected {VLLM_FORM}, with a model and its tokenizer in the folder, got {rest!r} ({where})"
        )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
    prompts, protocol, rendering = _reading(where, tokenizer, options)
    told: dict[str, Any] = {"protocol": PROTOCOLS[protocol], "rendering": rendering}
    if addresses:
        served = VLLMServerAgent(addresses, tokenizer, sampling=options.sampling, **told)
        return MadePlayer(served, prompts, model or where.name, "vllm", protocol)
    engine = VLLMEngineAgent(where, tokenizer, sampling=options.sampling, **told)
    return MadePlayer(engine, prompts, str(where), "vllm", protocol)


BACK_ENDS: Mapping[str, BackEnd] = {
    "chat": BackEnd("chat:MODEL[@URL]", _chat_player),
    "vllm": BackEnd("vllm:URL[,URL...] or vllm:FOLDER", _vllm_player),
}
"""Back ends by prefix, the part of a name before the first colon."""
