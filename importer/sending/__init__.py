"""Sending: one request at a time, recorded before it leaves, and never repeated on a guess."""
