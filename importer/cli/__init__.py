"""The command line: collects options, calls the pipeline, prints."""
