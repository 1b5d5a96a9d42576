"""`python -m importer` is the command line."""

from importer.cli.main import main

main()
