"""What happened and why: evidence, explanations, HTML report, model card."""
