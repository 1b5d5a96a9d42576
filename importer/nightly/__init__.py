"""The nightly import: files are imported once, unusual ones are held, and people are told."""
