"""Where in the images a caption looked."""
