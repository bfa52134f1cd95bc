"""The pool's command line: one file per noun, its verbs as commands."""
