"""How good a judge is: against people, and against another judge."""
