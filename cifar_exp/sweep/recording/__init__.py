"""The one process that decides and writes: epochs, outcomes, models and runs."""
