"""One style for all pictures: series told apart without colour, the same file from the same data."""

from itertools import combinations

from baselines.plotting import legend_below, look, panels, save
from baselines.runs.curves import plot_run


def test_every_two_looks_differ_in_line_and_marker():
    for first, second in combinations(map(look, range(6)), 2):
        assert first.linestyle != second.linestyle and first.marker != second.marker
        assert first.color != second.color
    assert look(6) == look(0)


def test_a_legend_stands_below_the_data_and_only_where_there_is_something_to_tell():
    figure, (first, second) = panels(2)
    first.plot([0, 1], [0, 1], label="line")
    for axis in (first, second):
        legend_below(axis)
    figure.canvas.draw()
    assert second.get_legend() is None
    assert first.get_legend().get_window_extent().y1 < first.get_window_extent().y0


def test_the_legend_of_a_run_tells_lines_and_points_apart_without_colour(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr("baselines.runs.curves.save", lambda figure, path: figures.append(figure))
    measured = {name: {"pass_at_1": 0.5, "ci95": [0.4, 0.6]} for name in ("1", "2")}
    rows = [
        {"stage": "self-play", "step": n, "validation/1_hop": 0.5, "validation/2_hop": 0.5} for n in range(3)
    ]
    plot_run(rows, {"mode": "m", "seed": 0, "heldout": {"before": measured, "after": measured}}, tmp_path)
    (figure,) = figures
    legend = figure.axes[0].get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert sorted(texts) == [
        "1 hop, held out, 95 %", "1 hop, validation", "2 hops, held out, 95 %", "2 hops, validation"
    ]  # fmt: skip
    lines = dict(zip(texts, legend.legend_handles, strict=True))
    assert lines["1 hop, validation"].get_linestyle() != lines["2 hops, validation"].get_linestyle()


def test_a_png_has_an_svg_beside_it_and_the_same_data_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        figure, (axis,) = panels(1)
        axis.plot([0, 1], [1, 0], label="falls")
        save(figure, tmp_path / f"{name}.png")
    for ending in ("png", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    assert b"<svg" in (tmp_path / "one.svg").read_bytes()[:600]


def test_the_picture_of_a_run_takes_sets_of_any_name_and_metrics_that_are_missing(tmp_path):
    measured = {"pass_at_1": 0.5, "ci95": [0.4, 0.6]}
    for name in ("1", "questions"):
        label = "1_hop" if name == "1" else name
        rows = [{"stage": "cloning", "step": 1}]
        rows += [{"stage": "self-play", "step": 2 + n, "solver_reward": 0.1 * n} for n in range(4)]
        rows[2][f"validation/{label}"] = 0.7
        summary = {
            "mode": "solver-only",
            "seed": 0,
            "heldout": {"before": {name: measured}, "after": {name: measured}},
        }
        plot_run(rows, summary, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
