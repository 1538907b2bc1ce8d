"""Step 1: what good means. Targets, directions, baseline scales and decidability."""
