"""Remote inboxes: files are fetched into a staging folder, imported there, and uploaded."""
