"""To and from the Hub: adapters in, models out, cards."""
