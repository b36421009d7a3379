"""What every other folder here stands on: the row, images, and what is written beside rows."""
