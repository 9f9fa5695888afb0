"""The page of ``lr-grid ui``: a server of the standard library, and a static page. Needs no torch."""
