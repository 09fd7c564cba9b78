"""Our vLLM servers: planned, started, watched, asked, put to sleep, given new weights, stopped."""
