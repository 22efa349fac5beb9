"""What the package needs of this machine: files, locks, signals, SQLite, addresses."""
