"""Rollouts across ranks: rows to the node's lead and back, new weights to its engine."""
