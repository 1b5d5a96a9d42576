"""Planning: checked rows and templates become groups, and a plan of what a run would send."""
