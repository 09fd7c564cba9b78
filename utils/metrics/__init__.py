"""Numbers about conversations with their errors, and the monitors that watch them."""
