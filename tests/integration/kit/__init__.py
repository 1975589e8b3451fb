"""What the integration tests are made with: a gateway process, raw clients, raw services, certificates."""
