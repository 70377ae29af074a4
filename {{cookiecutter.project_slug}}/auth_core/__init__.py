"""The authentication kernel: owned by the template, the same in every repository (see README.md)."""
