"""The gateway as a person runs it: real processes, real sockets."""
