"""The only package that knows the order of the steps, and the only one that starts work."""
