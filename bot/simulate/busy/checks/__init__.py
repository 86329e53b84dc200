"""What must hold after a busy shop: pure functions over the evidence, each a generator of what is wrong."""
