"""Evaluation: held-out problems in the classroom, a control arm, benchmarks, and their results."""
