"""`load_dataset("syned", ...)` and `load`: from a configuration's name to its rows."""
