"""Load, describe, seal and audit the rows."""
