"""`ssp plan`: prints what a run needs on GPUs, with everything that it assumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from baselines.config import PRESETS, TrainConfig
from baselines.config import preset as find_preset
from ssp_env.cli.options import print_text
from ssp_env.cli.options import table as make_table
from ssp_env.cli.progress import waiting
from ssp_env.cli.rules import read_assignments, read_toml
from ssp_env.game.config import check_names

if TYPE_CHECKING:
    from baselines.plan.estimate import Cluster, Plan


PresetName = Annotated[str, typer.Option(help=f"Configuration of the run: {', '.join(PRESETS)}.")]
ModelSize = Annotated[str, typer.Option(help="A size of Qwen2.5: 0.5b, 1.5b, 3b, 7b, 14b or 32b.")]
GPUs = Annotated[int, typer.Option(help="How many GPUs sample and train.", min=1)]
GPUName = Annotated[str, typer.Option(help="What each is: a100-40gb, a100, h100 or h200.")]
TensorParallel = Annotated[int, typer.Option(help="GPUs that share a server's model.", min=1)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file of changes to the preset.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One option of the run, such as rules.attempts=8."),
]
Assumptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Instead of an assumption, a figure that you have measured, such as solver_searches=2.5.",
    ),
]
Price = Annotated[float | None, typer.Option(help="Price of an hour of one GPU, in any currency.", min=0)]


def plan(
    preset: PresetName = "qwen2.5-7b-paper",
    model: ModelSize = "7b",
    gpus: GPUs = 8,
    gpu: GPUName = "h100",
    tensor_parallel: TensorParallel = 1,
    config_file: ConfigFile = None,
    options: Options = None,
    assume: Assumptions = None,
    price: Price = None,
) -> None:
    """Work out memory, tokens, time, searches and cost of a run on GPUs. Nothing of it is measured."""
    with waiting("loading torch"):
        from baselines.plan.estimate import Assumed, Cluster
        from baselines.plan.estimate import plan as work_out
        from baselines.plan.hardware import DEVICES, sizes_of

    try:
        in_file = {} if config_file is None else read_toml(config_file, "options of a run")
        assigned = read_assignments("--set", options, {}, "rules.attempts=8")
        config = find_preset(preset).changed(in_file, assigned)
        given = read_assignments("--assume", assume, {}, "solver_searches=2.5")
        check_names(given, [item.name for item in fields(Assumed)], "assumption")
        assumed = Assumed(**{name: float(value) for name, value in given.items()})
        check_names([gpu], [*DEVICES], "gpu")
        cluster = Cluster(DEVICES[gpu], gpus, tensor_parallel)
        sizes = sizes_of(model, config.rollout.context_window or 8192)
        found = work_out(config, sizes, cluster, assumed)
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error)) from error
    console = Console()
    title = f"{preset} with Qwen2.5-{model} on {gpus} {gpu}"
    console.print(_conversations(found, config), _needs(found, cluster, config, price, title), sep="\n")
    if wrong := _wrong(found, cluster):
        print_text(console, f"It does not fit: {'; '.join(wrong)}.", "yellow")
    shown = ", ".join(
        f"{name}={value:g}{'' if name in given else '*'}" for name, value in asdict(assumed).items()
    )
    print_text(
        console,
        f"Assumed (* by default, to be replaced by --assume): {shown}. Peak operations, bandwidth and memory "
        "are the maker's figures. Memory of weights, gradients and moments is exact, times are estimates; "
        "none of this was measured on such GPUs.",
    )


def _conversations(found: Plan, config: TrainConfig) -> Table:
    table = make_table(
        f"A step of {config.answers * config.proposals} proposals",
        "role",
        numbers=("conversations", "sampled", "in all", "searches"),
    )
    for role, each in found.by_role.items():
        figures = (
            each.count,
            each.sampled * each.count,
            each.length * each.count,
            each.searches * each.count,
        )
        table.add_row(role, *(f"{figure:,.0f}" for figure in figures))
    return table


def _needs(found: Plan, cluster: Cluster, config: TrainConfig, price: float | None, title: str) -> Table:
    table = make_table(title, "what", numbers=("figure",))
    rows: Mapping[str, Any] = {
        **{f"memory of training, {name}": _size(size) for name, size in found.training_memory.items()},
        "memory of training, a GPU": _size(sum(found.training_memory.values())),
        "weights of a server, a GPU": _size(found.server_weights),
        "games in flight": f"{found.games_in_flight:,.0f}",
        **{f"time of a step, {name}": f"{seconds:.1f} s" for name, seconds in found.seconds.items()},
        "time of a step": f"{found.step_seconds:.1f} s",
        "searches a second": f"{found.searches_a_second:,.0f}",
        f"GPU hours of {config.steps} steps": f"{found.gpu_hours:,.0f}",
    }
    if price is not None:
        rows = {**rows, "cost": f"{price * found.gpu_hours:,.0f}"}
    for name, figure in rows.items():
        table.add_row(name, str(figure))
    return table


def _wrong(found: Plan, cluster: Cluster) -> list[str]:
    wrong = []
    needed, memory = sum(found.training_memory.values()), cluster.device.memory
    if needed > memory:
        wrong.append(f"training needs {_size(needed)} a GPU and there are {_size(memory)}")
    if found.games_in_flight < 1:
        wrong.append("the weights leave a server no room for a game: raise --tensor-parallel")
    return wrong


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
