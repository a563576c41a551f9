"""What a configuration of verl says about our games: `data.ssp`, for the data set and for the loop."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from baselines.hosted_options import HostedOptions
from ssp_env.game.config import check_names


@dataclass(frozen=True)
class GameOptions(HostedOptions):
    """The keys of `data.ssp`."""

    where: ClassVar[str] = "data.ssp.scenario"

    @classmethod
    def of(cls, data: Any) -> GameOptions:
        """Read verl's `data` section.

        Raises:
            ValueError: If it has no `ssp`, an option has another name, or there is nothing to play over.
        """
        from omegaconf import OmegaConf

        if data.get("ssp") is None:
            raise ValueError(
                "the configuration has no data.ssp: it says what is played over, "
                "+data.ssp.scenario.corpus=FILE for example"
            )
        given = OmegaConf.to_container(OmegaConf.create(data.get("ssp")), resolve=True)
        assert isinstance(given, dict)
        check_names(given, [option.name for option in fields(cls)], "key of data.ssp")
        options = cls(**given)
        options.check()
        return options
