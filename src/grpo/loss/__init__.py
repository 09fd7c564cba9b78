"""What the loss sees: an advantage for each token, old logprobs, rows without padding."""
