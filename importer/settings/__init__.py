"""The user's settings: flags, then environment, then importer.yaml, then defaults.

`Settings` lists them, and `load_settings` reads them. Secrets come only from the environment or a
secrets directory, and are read when they are needed.
"""

from importer.settings.secrets import Credentials
from importer.settings.settings import Settings
from importer.settings.sources import FILE_NAME, InboxFile, load_settings

__all__ = ["FILE_NAME", "Credentials", "InboxFile", "Settings", "load_settings"]
