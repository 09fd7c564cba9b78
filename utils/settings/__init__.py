"""Hydra at the door: settings are composed, checked, and a mistake is said in one line."""
