"""Who earned what: from conversations and their rewards to an advantage for each tutor turn."""
