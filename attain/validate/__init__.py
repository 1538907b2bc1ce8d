"""Step 5: what a result is worth. Splits, metrics, intervals, comparisons, diagnoses."""
