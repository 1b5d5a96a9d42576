"""`python -m importer` runs the command line."""

from importer.cli.main import main

main()
