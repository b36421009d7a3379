"""How an embedded model is built and trained from nothing."""
