"""Step 7: the sealed rows are read once, after selection; the verdict follows."""
