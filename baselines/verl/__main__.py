"""Say whether verl knows our agent loop and estimator, and where the configurations are."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from baselines.verl import AGENT_LOOP, ESTIMATOR, check_registered

if __name__ == "__main__":
    check_registered()
    named = [point.value for point in entry_points(group="verl.plugins") if point.value == "baselines.verl"]
    print(f"agent loop {AGENT_LOOP} and advantage estimator {ESTIMATOR} are registered")
    print("verl loads them by", "their entry point" if named else "VERL_USE_EXTERNAL_MODULES alone")
    print("configurations:", Path(__file__).parent / "config")
