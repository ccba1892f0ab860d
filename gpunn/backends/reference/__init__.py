"""Reference primitives, one family a file: plain array code over ``xp``, right on every device."""
