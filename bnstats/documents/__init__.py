"""Results documents: their writer, reader, entries and schema, and files written whole."""
