"""Parquet files of exported rows, written in batches with a fixed schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssp_env.errors import missing_extra
from ssp_env.game import GameConfig
from ssp_env.game.outcome import count_metrics
from ssp_env.records.export import publish

if TYPE_CHECKING:
    import pyarrow

ROWS_PER_BATCH = 512


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path, schema: pyarrow.Schema) -> int:
    """Write rows to a new Parquet file, which appears when it is whole.

    Args:
        rows: The rows; a batch of them is in memory at a time.
        path: The file.
        schema: `games_schema()`, `trajectories_schema()` or `verl_schema()`.

    Returns:
        The number of rows.

    Raises:
        ModuleNotFoundError: If pyarrow is not installed.
        ValueError: If the file exists.
    """
    arrow = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    def write(aside: Path) -> int:
        count, waiting = 0, iter(rows)
        with ParquetWriter(aside, schema) as writer:
            while batch := list(islice(waiting, ROWS_PER_BATCH)):
                writer.write_table(arrow.Table.from_pylist(batch, schema=schema))
                count += len(batch)
        return count

    return publish(path, write)


def games_schema() -> pyarrow.Schema:
    """Columns of `game_rows`."""
    arrow = _pyarrow()
    text, number = arrow.string(), arrow.float64()
    reward = arrow.struct([("seat", text), ("reward", number)])
    return arrow.schema(
        [
            *((name, text) for name in ("game_id", "corpus", "answer")),
            ("aliases", arrow.list_(text)),
            ("hops", arrow.int64()),
            *((name, text) for name in ("question", "verdict", "reason")),
            ("success_rate", number),
            ("rewards", arrow.list_(reward)),
            *((name, number) for name in count_metrics((), GameConfig())),
            *((name, text) for name in ("engine", "package", "config", "extra")),
        ]
    )


def trajectories_schema() -> pyarrow.Schema:
    """Columns of `trajectory_rows`."""
    arrow = _pyarrow()
    return arrow.schema(
        [
            *((name, arrow.string()) for name in ("game_id", "seat", "role")),
            ("reward", arrow.float64()),
            ("correct", arrow.bool_()),
            *((name, arrow.string()) for name in ("verdict", "reason")),
            ("messages", _messages("role", "content", "tool_calls", "tool_call_id")),
            ("input_ids", arrow.list_(arrow.int64())),
            ("loss_mask", arrow.list_(arrow.int8())),
            ("logprobs", arrow.list_(arrow.float64())),
        ]
    )


def verl_schema() -> pyarrow.Schema:
    """Columns of `verl_rows`."""
    arrow = _pyarrow()
    text = arrow.string()
    truth = arrow.struct([("target", arrow.list_(text))])
    created = arrow.struct([("data_source", text), ("ground_truth", truth), ("question", text)])
    extra_info = arrow.struct(
        [
            ("index", arrow.int64()),
            *((name, text) for name in ("split", "question", "game_id")),
            ("hops", arrow.int64()),
            ("success_rate", arrow.float64()),
            ("need_tools_kwargs", arrow.bool_()),
            ("tools_kwargs", arrow.struct([("search", arrow.struct([("create_kwargs", created)]))])),
        ]
    )
    return arrow.schema(
        [
            ("data_source", text),
            ("prompt", _messages("role", "content")),
            ("ability", text),
            ("reward_model", arrow.struct([("ground_truth", truth), ("style", text)])),
            ("extra_info", extra_info),
        ]
    )


def _messages(*keys: str) -> pyarrow.DataType:
    arrow = _pyarrow()
    return arrow.list_(arrow.struct([(key, arrow.string()) for key in keys]))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow", "parquet") from error
    return pyarrow
