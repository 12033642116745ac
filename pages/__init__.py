"""All that the outside sees: the pages, and the doors for programs in `endpoints`."""
