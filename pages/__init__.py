"""All that the outside sees: the pages, and the doors for programs in `endpoints`."""

from pages.mount import mount_pages

__all__ = ["mount_pages"]
