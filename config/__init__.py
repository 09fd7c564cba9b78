"""Every setting of the project: one schema of dataclasses, and the YAML files that fill it."""

from config.environment import find_environment

find_environment()
