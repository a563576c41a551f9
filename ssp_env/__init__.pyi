from .envs import numeric_search_self_play_v0 as numeric_search_self_play_v0
from .game import Game as Game
from .game import GameConfig as GameConfig
from .game import Outcome as Outcome
from .game import Reply as Reply
from .game import Task as Task
from .game import View as View
from .game import trajectories as trajectories
from .game.passage import Passage as Passage
from .scenario import Scenario as Scenario
from .scenario import open_scenario as open_scenario
from .search.bm25 import BM25Engine as BM25Engine
from .search.tool import SearchTool as SearchTool
from .worlds import World as World

__version__: str
