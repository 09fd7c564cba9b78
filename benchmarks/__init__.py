"""Speed, measured beside the algorithm that everyone starts from."""
