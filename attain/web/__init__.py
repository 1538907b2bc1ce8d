"""The live dashboard: a page on this machine that reads a study and can ask its run for little."""
