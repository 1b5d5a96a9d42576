"""The command line: collect options, call the core, print the result."""
