"""What the user chose: flags over environment over importer.yaml over defaults.

`load_settings` reads them; `Settings` says what there is. Secrets come from the environment or a
secrets directory alone, and are read when they are asked for.
"""

from importer.settings.secrets import Credentials
from importer.settings.settings import Settings
from importer.settings.sources import FILE_NAME, InboxFile, load_settings

__all__ = ["FILE_NAME", "Credentials", "InboxFile", "Settings", "load_settings"]
