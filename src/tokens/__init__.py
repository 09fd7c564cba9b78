"""Messages to token ids and back, for any chat template."""
