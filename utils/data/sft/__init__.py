"""Conversations as rows to fine-tune on: from runs, from MathDial, checked."""
