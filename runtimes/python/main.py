"""What the supervisor executes for a Python function: a zygote with the function loaded.

The working directory is the function's code; the author's environment is ours. Everything that
costs time is done here, once; a request then runs in a process forked from this one.
"""

import os
import sys


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)  # PYTHONSAFEPATH leaves the script's folder out
    import _mayfly
    from mayfly_host import host

    # From here on `import main` means the author's file, not this one.
    sys.path.remove(here)
    host.run(_mayfly, here)


if __name__ == "__main__":  # multiprocessing's "spawn" imports this file again
    main()
