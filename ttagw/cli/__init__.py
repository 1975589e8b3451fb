"""The `ttagw` command."""
