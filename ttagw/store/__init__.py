"""Where state is kept: one small Protocol, and a maker each for memory, SQLite and Redis."""
