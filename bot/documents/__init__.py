"""What is kept in Redis of people and what they say: documents, the log, and indexes of them; each with its scripts."""
