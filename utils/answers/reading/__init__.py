"""What an answer's text says: its spelling, its parts, numbers, names and units."""
