"""The outbox: runs for a tracking server are stored on this machine and pushed from there."""
