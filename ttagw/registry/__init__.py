"""Which instances each service has, and how they are doing."""
