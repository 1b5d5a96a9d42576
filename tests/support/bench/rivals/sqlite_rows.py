"""The floor of results: SQLite gives every row of the ledger's submissions."""

import sqlite3
import sys
from contextlib import closing

if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[1])) as ledger:
        for _ in ledger.execute("SELECT * FROM submissions"):
            pass
