"""Who may act now, and on what: the account, the owner of a stack, locks, leases and consent."""
