"""One conversation: states, turns, each role's view, token ledger, judges, solutions."""
