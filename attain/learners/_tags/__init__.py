"""Labels of words: how sentences are read, what scores their words, how right the answers are."""
