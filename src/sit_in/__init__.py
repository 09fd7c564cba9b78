"""Sit in the classroom: a person takes one role, the configured models take the others."""
