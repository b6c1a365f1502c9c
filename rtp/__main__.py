"""Where the process begins: Ctrl-C ends it without a word until `main` can say one, which takes some imports.

Who starts rtp with SIGINT blocked, as the demo does, keeps it from meeting a Python that is not up yet.
"""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from rtp.cli import main

if __name__ == "__main__":
    main()
