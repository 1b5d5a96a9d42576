"""What the user chose: flags over environment over importer.yaml over defaults.

`load_settings` reads them; `Settings` says what there is. Secrets come from the environment or a
secrets directory alone, and are read when they are asked for.
"""

from importer.settings.environment import Credentials
from importer.settings.load import FILE_NAME, IN_AN_INBOX, load_settings
from importer.settings.model import Settings

__all__ = ["FILE_NAME", "IN_AN_INBOX", "Credentials", "Settings", "load_settings"]
