"""Step 2: which parameters deserve the budget, with ranges and sources."""
