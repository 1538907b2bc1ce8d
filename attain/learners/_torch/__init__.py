"""One training loop for all networks, on torch. It knows rows, lengths and losses, no modality.

The story in order: `recipe` says how long and how fast, `batches` which rows each step sees, `step`
turns them into one update, `loop` repeats that, looks, stops and keeps checkpoints.
"""
