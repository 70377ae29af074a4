"""What the Makefile and the tests run besides the template itself."""
