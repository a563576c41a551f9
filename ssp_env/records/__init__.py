"""Games as data: written to JSON Lines, read back, replayed, scored anew and exported for trainers.

>>> from ssp_env.game import Failure, Game, Task
>>> game = Game(Task("Tavor", id="task-0"))
>>> game.submit(game.requests()[0].id, Failure("the model is down"))
>>> episode = Episode.of(game)
>>> episode.outcome["reason"], first_difference(episode)
('error', '')
"""

from ssp_env.records.episode import SCHEMA_VERSION, Episode, episode_schema
from ssp_env.records.files import EpisodeWriter, TornLine, keep_episodes, numbered_episodes, read_episodes
from ssp_env.records.replay import Comparison, first_difference, rescore, retold

__all__ = [
    "SCHEMA_VERSION",
    "Comparison",
    "Episode",
    "EpisodeWriter",
    "TornLine",
    "episode_schema",
    "first_difference",
    "keep_episodes",
    "numbered_episodes",
    "read_episodes",
    "rescore",
    "retold",
]
