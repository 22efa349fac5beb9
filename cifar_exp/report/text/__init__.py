"""A ranking as text: table, sentences, CSV, JSON, Markdown."""
