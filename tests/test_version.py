"""The version of the package, of its installed metadata and of its citation are one."""

from importlib.metadata import version
from pathlib import Path

import ssp_env

ROOT = Path(ssp_env.__file__).parents[1]


def test_installed_metadata_has_the_version_of_the_package():
    assert version("ssp-env") == ssp_env.__version__


def test_the_citation_names_the_version_of_the_package():
    assert f"\nversion: {ssp_env.__version__}\n" in (ROOT / "CITATION.cff").read_text()
