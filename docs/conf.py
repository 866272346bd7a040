"""Sphinx configuration."""

project = "neural-limits"
copyright = "the neural-limits developers"
extensions = ["myst_nb"]
html_theme = "furo"
nb_execution_mode = "off"
exclude_patterns = ["_build"]
