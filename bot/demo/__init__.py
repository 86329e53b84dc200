"""The demo: a shop, its chat and a private Valkey in one process, with simulated buyers."""
