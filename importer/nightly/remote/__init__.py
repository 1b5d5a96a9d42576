"""Inboxes that lie elsewhere: brought to a desk, worked on there, and given back."""
