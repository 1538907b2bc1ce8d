"""Step 6: diagnosis, move, measured effect; and when to stop."""
