"""Reads a board's limits. A value that it must not have is told and its default used: a board always starts."""

import json

from motemo.profile import Profile

# The least and the most of each.
LIMITS = {
    "sessions": (1, 10000),
    "cached": (1, 1000),
    "skipped": (0, 1000),
    "max_skip": (1, 1000),
    "prekeys": (25, 100),  # O-004, O-005
    "lease": (1, 50),
    "devices": (1, 64),
    "body": (64, 65536),
    "outbox": (1, 10000),
    "padding": (0, 200),
    "rotation": (7, 31),  # O-002
    "used": (0, 100),
    "stale": (60, 800),  # clients send a heartbeat at 53
}


def read(path):
    """(`Profile`, what is wrong with the file, as lines); the defaults when there is no such file."""
    profile = Profile()
    try:
        with open(path) as file:
            limits = json.load(file).get("limits", {})
        named = sorted(limits.items())
    except OSError:
        return profile, []
    except (ValueError, AttributeError, TypeError):
        return profile, [path + " is not what it should be: the defaults are used"]
    problems = []
    for name, value in named:
        least, most = LIMITS.get(name, (0, -1))
        if type(value) is int and least <= value <= most:
            setattr(profile, name, value)
        elif name in LIMITS:
            problem = "{}: {} must be {} to {}: {} is used"
            problems.append(problem.format(path, name, least, most, getattr(profile, name)))
        else:
            problems.append("{}: there is no limit {}".format(path, name))
    return profile, problems
