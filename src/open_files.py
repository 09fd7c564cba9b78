"""How many connections this process may hold open: every request in flight is one."""

from __future__ import annotations

import resource

WANTED = 65_535  # what vLLM's servers ask for themselves
OURS = 256  # left for files, libraries and other engines' idle connections


def connections_allowed() -> int:
    """Raise the soft limit of open files as far as it may go; what connections may take of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft == resource.RLIM_INFINITY:
        soft = WANTED
    return max(soft // 4, (soft - OURS) // 3)  # at most three engines
