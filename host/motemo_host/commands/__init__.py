"""The commands of `motemo`, one module each."""
