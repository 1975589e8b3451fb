"""Pure decisions: what to do is decided here and done elsewhere. No Twisted, no clock, no chance, no I/O."""
