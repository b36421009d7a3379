"""What a checkpoint is, and how it is loaded."""
