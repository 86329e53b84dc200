"""Who talks to whom, and in which order: the gateway, the flows, the store."""
