"""Publishing a configuration, and its card."""
