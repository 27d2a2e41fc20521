"""The tables as a static site: a page for each layer, an index and the audit."""
