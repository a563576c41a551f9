from .aec import raw_env as raw_env
from .lookup_solver import LookupSolver as LookupSolver
from .numeric_player import NumericPlayer as NumericPlayer
from .parallel import TurnBasedParallelEnv as TurnBasedParallelEnv
from .search_action import SearchAction as SearchAction
from .single_agent import ProposerEnv as ProposerEnv
from .single_agent import SolverEnv as SolverEnv
from .spaces import UnicodeText as UnicodeText
