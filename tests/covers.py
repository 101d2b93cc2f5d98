"""Tags a test with the rules that it checks: `@covers("O-034")`.

tools/requirements reads the tags from the source, so nothing is kept at run time, on no interpreter.
"""


def covers(*rules):
    """Name the ids of docs/requirements.toml that the decorated test checks."""
    return lambda test: test
