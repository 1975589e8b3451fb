"""Who is asking, and how it is known."""
