"""Language models: rendering, masks, packing, tuning, writing, judging."""
