"""Repairs after a crash, and what stored files nothing needs any more."""
