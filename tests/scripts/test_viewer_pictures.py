"""The pictures of the viewer's page are drawn from two runs: every size and theme, none of them empty."""

import pytest

from benchmarks.chromium import EXECUTABLE, NEEDED
from tests.viewer.recorded import write_run

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
SIZES = {
    "game": (1280, 860),
    "game-dark": (1280, 860),
    "curves": (1280, 860),
    "phone": (390, 844),
    "phone-dark": (390, 844),
}


def test_every_picture_is_drawn(tmp_path):
    image = pytest.importorskip("PIL.Image")
    from scripts.viewer_pictures import main

    runs = [str(write_run(tmp_path / name)) for name in ("first", "second")]
    main([*runs, "1", "--out", str(tmp_path)])
    for name, size in SIZES.items():
        with image.open(tmp_path / f"viewer-{name}.png") as picture:
            shade = picture.convert("L")
            assert picture.size == size and len(shade.getcolors()) > 10
            # Of a dark page the corner at the bottom is dark.
            assert (shade.getpixel((size[0] - 3, size[1] - 3)) < 80) == name.endswith("dark"), name
