"""Step 3: which configuration next. One algorithm per file, none knows another."""
