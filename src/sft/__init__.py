"""Supervised fine-tuning and preference training of a tutor on whole conversations."""
