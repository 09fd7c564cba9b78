"""Judges' answers read as OK, REJECT or missing."""
