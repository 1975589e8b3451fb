"""Who is not let in for a while, and how it comes to that."""
