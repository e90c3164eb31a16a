"""The commands of `pal`, a module each: `add(commands)` makes its parser, and what it runs imports what it needs."""
