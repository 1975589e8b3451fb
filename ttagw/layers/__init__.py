"""One concern of every request a module; siblings do not know each other.

Their order is the list in `ttagw.service`.
"""
