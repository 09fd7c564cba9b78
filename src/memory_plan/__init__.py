"""Does it fit: the memory of engines and trainer, planned before anything starts."""
