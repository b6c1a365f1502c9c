"""Entry point. Until `main` is imported, Ctrl-C ends the process without a traceback.

The demo starts rtp with SIGINT blocked, so that Ctrl-C cannot hit a Python that is still starting; this unblocks it.
"""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from rtp.cli import main

if __name__ == "__main__":
    main()
