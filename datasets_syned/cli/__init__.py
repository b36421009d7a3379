"""The `syned` command."""
