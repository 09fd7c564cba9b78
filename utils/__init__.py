"""Pure helpers: answers, rewards, verdicts, statistics, data, records.  No torch, no engines."""
