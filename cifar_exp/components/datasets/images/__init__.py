"""Image files of the user: which files of a folder are read, and how they are decoded."""
