"""A ranking as text: table, sentences, CSV, JSON and Markdown."""
