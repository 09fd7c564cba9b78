"""Speed of rollouts, judging, updates and start, ours beside the plain algorithm."""
