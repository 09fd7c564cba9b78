"""How long an update takes, by phase, and what a run costs: a roofline, before anything starts."""
