"""A verification as text, as annotations on GitHub and as JUnit XML."""
