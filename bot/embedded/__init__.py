"""A Valkey of our own, for demos and tests: found, run, and ended with us."""
