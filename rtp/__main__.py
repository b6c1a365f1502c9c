"""Where the process begins: Ctrl-C ends it without a word until `main` can say one, which takes some imports."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from rtp.cli import main

if __name__ == "__main__":
    main()
