"""Entry point. Until `main` runs, Ctrl-C ends the process without a traceback.

The demo starts rtp with SIGINT blocked, so that Ctrl-C cannot hit a Python that is still starting; this unblocks it.
Nothing here may fail to import on Windows, where rtp says that it needs WSL.
"""

from __future__ import annotations

import signal
import sys

if sys.platform != "win32" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def main(platform: str = sys.platform) -> None:
    """Run the command line, and exit with its code."""
    if platform == "win32":
        sys.stderr.write("error: On Windows rtp needs WSL: run `wsl --install`, and install and use rtp in it.\n")
        sys.exit(3)
    from rtp.cli import main as run

    run()


if __name__ == "__main__":
    main()
