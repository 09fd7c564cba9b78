"""One row: its cells and columns, messages and references; rows that cannot be used."""
