"""Statistics of repeated trainings: pure functions on plain numbers, one file per concept.

They know nothing of runs. Where an order matters, larger values are better.
"""
