"""A run's folder: its settings, its record, its logs, and how they are read again."""
