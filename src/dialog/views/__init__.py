"""What each participant sees: ids or messages, and the ledger that becomes the training row."""
