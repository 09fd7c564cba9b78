"""How good a judge is, against people."""
