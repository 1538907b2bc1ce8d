"""Other libraries' interfaces to attain's models."""
