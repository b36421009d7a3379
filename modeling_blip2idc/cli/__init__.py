"""The `blip2idc` command."""
