import os
import warnings

from motif.cores import settle_threads

settle_threads()  # before any script imports torch
# Gymnasium imports every game that is installed, and pygame among them greets on every start.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
