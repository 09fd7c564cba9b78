"""Errors that a person can mend: each is one line, and root scripts print it as one."""


class ConfigError(ValueError):
    """A setting cannot be used as given.  One line that begins with the setting's full key."""


class RunError(RuntimeError):
    """The run cannot go on, through no fault in the code: a dead engine, a bad key, a full disk."""
