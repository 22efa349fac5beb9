"""What a sweep or a command shows in a terminal or a notebook: progress, tables, next steps."""
