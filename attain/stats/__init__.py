"""Pure functions on arrays: intervals, comparisons, power, importance, surrogates."""
