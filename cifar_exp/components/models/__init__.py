"""Networks and their layers, built for images of a given shape."""
