"""Players of terse games that know nothing but the numbers."""

import numpy as np

from ssp_env.worlds import TERSE_RELATIONS

RELATIONS = len(TERSE_RELATIONS)


def parts(env, observation):
    """The relations asked for, the number of searches made, and the table of entities."""
    asked, rest = observation[: 4 * RELATIONS].reshape(4, RELATIONS), observation[4 * RELATIONS :]
    searches = env.rules.solver.max_searches + 1
    return asked, int(rest[:searches].argmax()), rest[searches:].reshape(-1, 2 + RELATIONS)


def by_the_numbers(env, observation):
    """Follow the relations by nothing but numbers: search for what was reached, then answer with it."""
    asked, made, table = parts(env, observation)
    reached = int((table[:, 2:] @ asked[made - 1]).argmax()) if made else 0
    return reached if asked[made].any() else env.entities + reached


def wanted_hops(observation):
    return int(observation[:4].argmax()) + 1


def proposed(env, observation, mask, built, begins):
    """Go back as often as there are hops, by searches where no way is known, and ask after two searches."""
    start = 4 + 4 * RELATIONS
    made = int(observation[start : start + env.rules.proposer.max_searches + 1].argmax())
    table = observation[start + env.rules.proposer.max_searches + 1 :].reshape(-1, 2 + RELATIONS)
    back = np.flatnonzero(mask[env.entities : 2 * env.entities])
    fresh = [entity for entity in np.flatnonzero(mask[: env.entities]) if not table[entity, 1]]
    if built < wanted_hops(observation) and len(back):
        return env.entities + int(back[-1])
    if built < wanted_hops(observation) and begins in fresh:
        return begins
    return int(fresh[0]) if made < 2 and fresh else 2 * env.entities
