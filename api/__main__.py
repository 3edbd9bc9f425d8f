"""`python -m api` is `ragd`."""

import sys

from api.cli import main

sys.exit(main())
