"""Data sets by name, read from their official archives."""
