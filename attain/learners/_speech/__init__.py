"""From clips to texts with networks that are trained by connectionist temporal classification.

The story in order: `alphabet` writes texts as the network's vocabulary can, `waves` reads clips,
`network` listens, `ctc` says how well what it heard fits a text, `lesson` sorts out what rows can
teach, `work` and `tuning` teach it, `model` writes and is saved.
"""
