"""Reports: one view of a plan or a run, in several formats."""
