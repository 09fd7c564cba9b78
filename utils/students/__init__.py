"""Students as policies: who meets which problem, misconceptions as rules, pressure, scripts."""
