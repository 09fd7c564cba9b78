"""Weights loaded in this process: from hub or folder, for training, as a classifier."""
