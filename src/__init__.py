"""The classroom, its providers and engines, and the trainer."""
