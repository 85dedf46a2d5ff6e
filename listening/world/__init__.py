"""A quasi-real world from a seed: planned without a database, written in one transaction."""
