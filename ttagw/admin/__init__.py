"""The admin side: health and metrics. Ordinary twisted.web resources; never public."""
