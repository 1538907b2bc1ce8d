"""Step 4: one fit, honestly monitored."""
