"""What more work costs us: rollouts of up to 65,536 conversations, and up to 64 nodes."""
