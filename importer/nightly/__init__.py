"""The nightly import: files that arrive are imported once, odd ones are held, the morning hears."""
