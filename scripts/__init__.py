"""Scripts: each parses, calls one function and prints or writes."""
