"""A classroom of tiny models: two-digit sums, a student who forgets the carry, a tutor of mixed
habits.  A plugin: the classroom, the trainer and the evaluation know nothing of it."""

import config  # noqa: F401  finds the environment with the requirements
