"""Maintenance of the stores: repairs after a crash, and deletion of unused files."""
