"""Was the answer said? Where a text tells it, and how."""
