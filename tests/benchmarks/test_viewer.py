"""The benchmark of the viewer writes as many games as it says, and sees the page do everything."""

import pytest

from benchmarks import viewer
from benchmarks.chromium import EXECUTABLE, NEEDED


@pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
def test_everything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(viewer, "DISTINCT", 20)
    viewer.main(games=60, gigabytes=0.002, repeats=1)
    printed = capsys.readouterr().out
    for name in ("file", "its memory at most", "first row", "filter", "search in whole games"):
        assert name in printed
    assert "60 games" in printed.split("\n")[0] and " MiB" in printed and " ms (at most " in printed
