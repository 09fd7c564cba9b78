"""Pure helpers: answers, rewards, verdicts, statistics, data, records.  No torch, no engines."""

import config  # noqa: F401  finds the environment with the requirements
