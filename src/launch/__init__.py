"""The launcher: engines and training from one command line, and nothing left of either."""
