"""What people and programs read: one view of a plan or a run, in several forms."""
