"""Speed, measured beside the algorithm that everyone starts from."""

import config  # noqa: F401  finds the environment with the requirements
