"""What each item of first contact does."""
