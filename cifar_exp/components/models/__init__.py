"""The networks: what they are made of, and how one is built for images of a given shape."""
