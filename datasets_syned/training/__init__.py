"""From rows to batches, and from generated captions to scores."""
