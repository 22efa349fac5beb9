"""What is left to train of a sweep, and in which order."""
