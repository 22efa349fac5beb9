"""Operating system utilities: files, locks, signals, SQLite and addresses."""
