"""Without verl there are no estimators of it; with verl, tests/parity says what they do."""

import sys
from importlib.util import find_spec

import pytest

from baselines.verl_estimators import verl_estimators


@pytest.mark.skipif(find_spec("verl") is not None, reason="verl is installed")
def test_without_verl_there_are_none():
    assert verl_estimators(1.0, 0.95) == {}
    assert "verl" not in sys.modules
