"""The checks of this folder are programs, too: here as there they find each other beside themselves."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
