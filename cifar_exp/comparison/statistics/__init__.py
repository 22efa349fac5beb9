"""Statistics of repeated trainings: pure functions on numbers, one file per concept.

They do not depend on runs or records. Larger values are better.
"""
