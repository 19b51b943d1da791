"""Sources of rows: YAML specs over REST, and classes from installed packages."""
