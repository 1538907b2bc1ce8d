"""Fakes and conformance suites that plugin authors can run on their own work."""
