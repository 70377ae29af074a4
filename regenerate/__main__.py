"""`python -m regenerate`."""

import sys

from regenerate.cli import main

sys.exit(main())
