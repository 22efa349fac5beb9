"""Measures of a classifier that do not depend on the loss it was trained with."""
