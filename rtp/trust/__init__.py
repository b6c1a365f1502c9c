"""Whose files rtp uses: checks of owner and mode, what the user trusts, and the project's private folder `.rtp`."""
