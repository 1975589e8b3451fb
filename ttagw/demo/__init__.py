"""The demo: four small services that stand in for TTA's own, and what starts them behind the gateway."""
