"""Records and snapshots that somebody has tampered with: one place of valid data gets another value."""

import copy

VALUES = [
    None, True, False, 0, -1, 1.5, 10**9, 10**12, 2**64, 2**200, -(2**70), "", "x", "sys:exit",
    "os:getcwd", [], {}, [[]], [None], [1, 2, 3], {"x": 1}, "\ud800", "a" * 5000, float("nan"),
    float("inf"), [["a", "b"]],
]  # fmt: skip


def places(data, path=()):
    """Paths to every value."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def tampered(rng, data):
    """Return a copy with one to three values replaced, removed, doubled or nested."""
    made = copy.deepcopy(data)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice([path for path in places(made) if path] or [()])
        if not path:
            break
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        what = rng.random()
        if what < 0.6:
            holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        elif what < 0.8:
            del holder[path[-1]]
        elif what < 0.9:
            nested = holder[path[-1]]
            for _ in range(rng.choice([1, 5, 150])):
                nested = [nested] if rng.random() < 0.5 else {"x": nested}
            holder[path[-1]] = nested
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder["unknown"] = 1
    return made
