"""Pictures of results, for paper by matplotlib and for the terminal by plotille."""
