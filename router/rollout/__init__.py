"""Which bundle decides for which share of traffic, and how much cleverness is allowed; all replicas agree on it."""
