"""What people and the world do to a conversation, each as one straight line: load, decide (pure), commit, tell."""
