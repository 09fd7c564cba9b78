"""The classroom, its providers and engines, and the trainer."""

import config  # noqa: F401  finds the environment with the requirements
