"""First contact with a GPU: checks, measures, and says what to set; one process an item."""
