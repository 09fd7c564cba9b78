"""Problems and chat rows, from files, the hub and generators."""
