"""Runs for a tracking server: kept on this machine, and pushed from there."""
