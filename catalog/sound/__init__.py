"""Music for songs that have no file: `composition` writes notes, `synthesis` plays them, `pieces` keeps the files."""
